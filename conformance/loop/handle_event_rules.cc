// HDL-2 and HDL-3: what becomes of the events of a descriptor that is closed.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr std::string_view kOld = "for the old owner";
constexpr std::string_view kNew = "for the new one";

// A Recv and a Poll on one handle, to see what reaches it.
struct Watch {
  std::array<char, 64> buffer = {};
  RecordingOperation recv;
  RecordingOperation poll;

  void Submit(Loop& loop, Handle handle) {
    recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    poll.PreparePoll(handle, POLLIN);
    loop.Submit(poll);
    loop.Submit(recv);
  }
  bool done() const { return recv.done() && poll.done(); }
};

// A pair whose `ours` has a number that is free, as the lowest ones are reused by the kernel.
DescriptorPair MakePairAt(int number) {
  DescriptorPair pair = MakeSocketPair();
  if (pair.ours.get() == number) return pair;
  if (pair.theirs.get() == number) {
    pair.theirs = UniqueFd(::fcntl(number, F_DUPFD_CLOEXEC, number + 1));
  }
  EXPECT_FALSE(IsOpen(number)) << "the number to be taken is in use";
  pair.ours = UniqueFd(::dup3(pair.ours.get(), number, O_CLOEXEC));
  EXPECT_EQ(pair.ours.get(), number) << "the number could not be taken";
  return pair;
}

void ExpectNothingArrived(const Watch& watch) {
  EXPECT_EQ(watch.poll.finals(), 0)
      << "an event of a closed descriptor reached the next owner of its number: "
      << watch.poll.Describe();
  EXPECT_EQ(watch.recv.finals(), 0)
      << "an event of a closed descriptor reached the next owner of its number: "
      << watch.recv.Describe();
}

// The handle of the old owner never comes to mean the new one.
void ExpectStale(Loop& loop, Handle old, Handle next) {
  EXPECT_FALSE(old == next) << "a handle was given out a second time";
  EXPECT_EQ(loop.Descriptor(old), -1) << "a handle of a closed descriptor has a descriptor";
  std::array<char, 8> buffer;
  RecordingOperation recv;
  const GiveUpAtExit give_up(loop, {&recv});
  recv.PrepareRecv(old, absl::MakeSpan(buffer), 0);
  loop.Submit(recv);
  EXPECT_TRUE(TurnUntilDone(loop, {&recv})) << "a Recv on a stale handle does not complete";
  EXPECT_EQ(recv.final_result(), -EBADF) << "on a stale handle: " << recv.Describe();
  const int descriptor = loop.Descriptor(next);
  loop.Close(old);
  Settle(loop);
  EXPECT_TRUE(IsOpen(descriptor)) << "closing a stale handle closed the next owner of its slot";
}

// How an old owner goes.
struct Departure {
  bool pending;       // with operations pending
  bool unread;        // with bytes that nobody has read
  bool duplicate;     // while a duplicate of it lives on
  bool while_silent;  // the late event is bytes; else bytes and the end
};

// Closes a descriptor, gives its number to another one, and makes events of the first.
void ReuseNumber(Loop& loop, Watch& old_watch, Watch& new_watch, Departure departure) {
  DescriptorPair old_pair = MakeSocketPair();
  const int number = old_pair.ours.get();
  UniqueFd duplicate;
  if (departure.duplicate) {
    duplicate = UniqueFd(::fcntl(number, F_DUPFD_CLOEXEC, number + 1));
  }
  const Handle old_handle = AdoptOrFail(loop, std::move(old_pair.ours));
  if (departure.pending) {
    old_watch.Submit(loop, old_handle);
    Settle(loop);
    EXPECT_FALSE(old_watch.recv.idle() || old_watch.poll.idle()) << "nothing is pending";
  }
  // Not seen by any turn before the close.
  if (departure.unread) WriteAll(old_pair.theirs.get(), kOld);
  loop.Close(old_handle);
  EXPECT_TRUE(TurnUntil(loop, [&] { return !IsOpen(number); })) << "Close did not close";
  EXPECT_TRUE(old_watch.recv.idle() && old_watch.poll.idle()) << "closed with operations pending";

  DescriptorPair new_pair = MakePairAt(number);
  const Handle new_handle = AdoptOrFail(loop, std::move(new_pair.ours));
  new_watch.Submit(loop, new_handle);
  Settle(loop);
  ExpectNothingArrived(new_watch);
  if (departure.duplicate) WriteAll(old_pair.theirs.get(), kOld);
  if (!departure.while_silent) old_pair.theirs.Reset();
  Settle(loop);
  ExpectNothingArrived(new_watch);
  ExpectStale(loop, old_handle, new_handle);

  WriteAll(new_pair.theirs.get(), kNew);
  EXPECT_TRUE(TurnUntil(loop, [&] { return new_watch.done(); }))
      << "the next owner of a number does not get its own events: " << new_watch.recv.Describe()
      << "; " << new_watch.poll.Describe();
  EXPECT_EQ(new_watch.recv.final_result(), static_cast<int32_t>(kNew.size()));
  EXPECT_EQ(std::string_view(new_watch.buffer.data(), kNew.size()), kNew)
      << "the next owner of a number got the bytes of another";
  loop.Close(new_handle);
  EXPECT_TRUE(TurnUntil(loop, [&] { return !IsOpen(number); }));
}

// Two descriptors become ready in the same turn, and the callback of the first closes the second.
void CloseInTheTurnOfTheEvent(LoopRule& rule) {
  Watch first, second, next;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair first_pair = MakeSocketPair();
  DescriptorPair second_pair = MakeSocketPair();
  const int number = second_pair.ours.get();
  const Handle first_handle = AdoptOrFail(*loop, std::move(first_pair.ours));
  const Handle second_handle = AdoptOrFail(*loop, std::move(second_pair.ours));
  const auto close = [&](RecordingOperation&) { loop->Close(second_handle); };
  first.recv.set_hook(close);
  first.poll.set_hook(close);
  first.Submit(*loop, first_handle);
  second.Submit(*loop, second_handle);
  Settle(*loop);
  WriteAll(first_pair.theirs.get(), kOld);
  WriteAll(second_pair.theirs.get(), kOld);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return first.done() && !IsOpen(number); }))
      << "not all completed: " << first.recv.Describe() << "; " << first.poll.Describe();
  if (testing::Test::HasFailure()) return;
  EXPECT_EQ(second.recv.finals(), 1) << second.recv.Describe();
  EXPECT_EQ(second.poll.finals(), 1) << second.poll.Describe();

  DescriptorPair next_pair = MakePairAt(number);
  next.Submit(*loop, AdoptOrFail(*loop, std::move(next_pair.ours)));
  second_pair.theirs.Reset();
  Settle(*loop);
  ExpectNothingArrived(next);
  EXPECT_EQ(second.recv.finals(), 1) << second.recv.Describe();
}

// Closes one of two descriptors of an open file, makes it ready for ever, and lets the loop wait.
void WaitBesideDuplicate(LoopRule& rule, DescriptorPair pair, std::string_view what) {
  constexpr int64_t kWindowNs = 100 * kMillisecondNs;
  constexpr uint64_t kMostTurns = 10;
  SCOPED_TRACE(what);
  std::array<char, 64> buffer;
  RecordingOperation read, poll, window;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const int number = pair.ours.get();
  const UniqueFd duplicate(::fcntl(number, F_DUPFD_CLOEXEC, number + 1));
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  read.PrepareRead(handle, absl::MakeSpan(buffer), kCurrentOffset);
  poll.PreparePoll(handle, POLLIN);
  loop->Submit(read);
  loop->Submit(poll);
  Settle(*loop);
  EXPECT_FALSE(read.idle() || poll.idle()) << "nothing is pending";
  loop->Close(handle);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !IsOpen(number); })) << "Close did not close";
  EXPECT_EQ(read.final_result(), -ECANCELED) << read.Describe();

  WriteAll(pair.theirs.get(), kOld);
  pair.theirs.Reset();
  ASSERT_NE(WaitFor(duplicate.get(), POLLIN, 0) & POLLIN, 0) << "the duplicate is not readable";
  window.PrepareTimer(kWindowNs);
  loop->Submit(window);
  const uint64_t turns_before = loop->Stats().turns;
  const int64_t cpu_before_ns = ThreadCpuNs();
  EXPECT_TRUE(TurnUntilDone(*loop, {&window}));
  EXPECT_LE(loop->Stats().turns - turns_before, kMostTurns)
      << "the loop spins on events of a descriptor that was closed: turns during a wait of "
      << kWindowNs << " ns";
  const int64_t cpu_ns = ThreadCpuNs() - cpu_before_ns;
  EXPECT_LT(cpu_ns, kWindowNs / 2)
      << "the loop is busy with events of a descriptor that was closed, of " << kWindowNs << " ns";
  EXPECT_EQ(ReadAvailable(duplicate.get()), kOld) << "closing disturbed the duplicate";
}

}  // namespace

void HDL_2(LoopRule& rule) {
  constexpr int kRandomRounds = 30;
  ASSERT_NO_FATAL_FAILURE(CloseInTheTurnOfTheEvent(rule));
  for (int round = 0; round < 16 + kRandomRounds; ++round) {
    // Every combination on a loop of its own, then any after another on one loop.
    Watch old_watch, new_watch;
    const Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    const int repetitions = round < 16 ? 1 : 5;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      const uint64_t choice = round < 16 ? static_cast<uint64_t>(round) : rule.random()();
      const Departure departure = {.pending = (choice & 1) != 0,
                                   .unread = (choice & 2) != 0,
                                   .duplicate = (choice & 4) != 0,
                                   .while_silent = (choice & 8) != 0};
      SCOPED_TRACE(absl::StrCat("pending ", departure.pending, ", unread ", departure.unread,
                                ", duplicate ", departure.duplicate, ", silent ",
                                departure.while_silent));
      for (Watch* watch : {&old_watch, &new_watch}) {
        watch->recv.Forget();
        watch->poll.Forget();
      }
      ReuseNumber(*loop, old_watch, new_watch, departure);
      if (testing::Test::HasFailure()) return;
    }
  }
}

void HDL_3(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(WaitBesideDuplicate(rule, MakeSocketPair(), "a local socket"));
  ASSERT_NO_FATAL_FAILURE(WaitBesideDuplicate(rule, MakeTcpPair(), "a TCP socket"));
  ASSERT_NO_FATAL_FAILURE(WaitBesideDuplicate(rule, MakePipeToRead(), "a pipe"));
}

}  // namespace tenon::conformance::loop_rules
