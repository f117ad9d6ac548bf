// What an operation holds until it has completed, whatever was asked of it: CAN-5, CAN-7.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr int kRounds = 50;

void ExpectNoNewDescriptors(const Ledger& ledger, const char* what) {
  const std::vector<std::string> differences = ledger.Differences();
  EXPECT_TRUE(differences.empty()) << "left behind by " << kRounds << " times " << what << ": "
                                   << absl::StrJoin(differences, "; ");
}

// ---- CAN-5 ----

// Two Accepts finish in one turn; the callback of the first cancels the second, which has its
// descriptor by then. It is closed, and its client learns of it.
void AcceptedTooLateIsClosed(LoopRule& rule) {
  struct Side {
    Listener listener;
    Handle handle;
    UniqueFd accepted;
    RecordingOperation accept;
  };
  std::array<Side, 2> sides;
  Loop* running = nullptr;
  OperationState state = OperationState::kIdle;
  for (size_t i = 0; i < 2; ++i) {
    sides[i].accept.set_hook([&, i](RecordingOperation& operation) {
      sides[i].accepted = UniqueFd(operation.result());
      RecordingOperation& other = sides[1 - i].accept;
      if (other.idle()) return;
      state = other.state();
      running->Cancel(other);
    });
  }
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  running = loop.get();
  for (Side& side : sides) side.handle = AdoptOrFail(*loop, side.listener.Take());
  const Ledger ledger;
  int too_late = 0;
  for (int round = 0; round < kRounds; ++round) {
    state = OperationState::kIdle;
    std::array<UniqueFd, 2> clients;
    for (size_t i = 0; i < 2; ++i) {
      sides[i].accept.Forget();
      sides[i].accept.PrepareAccept(sides[i].handle);
      loop->Submit(sides[i].accept);
    }
    if (round % 2 == 0) Settle(*loop);
    for (size_t i = 0; i < 2; ++i) clients[i] = sides[i].listener.Connect();
    ASSERT_TRUE(TurnUntilDone(*loop, {&sides[0].accept, &sides[1].accept}));
    for (size_t i = 0; i < 2; ++i) {
      if (sides[i].accepted.ok()) {
        sides[i].accepted.Reset();
        continue;
      }
      ASSERT_EQ(ResultText(sides[i].accept.final_result()), ResultText(-ECANCELED));
      if (state != OperationState::kReady) continue;
      ++too_late;
      char byte;
      EXPECT_NE(WaitFor(clients[i].get(), POLLIN, 1'000), 0)
          << "the connection of an Accept that was cancelled too late stays open";
      EXPECT_LE(::recv(clients[i].get(), &byte, 1, MSG_DONTWAIT), 0);
    }
    // A connection that nobody accepted is still in its backlog: take it out.
    for (const Side& side : sides) {
      const int listening = loop->Descriptor(side.handle);
      // A backend need not have made it non-blocking.
      if (WaitFor(listening, POLLIN, 0) == 0) continue;
      UniqueFd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)).Reset();
    }
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  ExpectNoNewDescriptors(ledger, "an Accept that was cancelled too late");
  if (too_late == 0) rule.Inconclusive("no cancel came after its Accept had finished");
}

// Cancels at every moment from Submit on, with a connection there. What was delivered is the
// caller's, what was not is nobody's.
void AcceptCancelledAnyTimeLeavesNothing(LoopRule& rule, bool multishot) {
  SCOPED_TRACE(multishot ? "a multishot Accept" : "an Accept");
  RecordingOperation accept(
      [](RecordingOperation& operation) { UniqueFd(operation.result()).Reset(); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Ledger ledger;
  for (int round = 0; round < kRounds; ++round) {
    Listener listener;
    const Handle handle = AdoptOrFail(*loop, listener.Take());
    accept.Forget();
    if (multishot) {
      accept.PrepareAcceptMultishot(handle);
    } else {
      accept.PrepareAccept(handle);
    }
    loop->Submit(accept);
    for (uint64_t turns = rule.random()() % 3; turns > 0; --turns) loop->Poll();
    const std::array<UniqueFd, 3> clients = {listener.Connect(), listener.Connect(),
                                             listener.Connect()};
    for (uint64_t turns = rule.random()() % 3; turns > 0; --turns) loop->Poll();
    loop->Cancel(accept);
    ASSERT_TRUE(TurnUntilDone(*loop, {&accept})) << accept.Describe();
    loop->Close(handle);
    Settle(*loop);
    EXPECT_EQ(accept.finals(), 1) << accept.Describe();
  }
  ExpectNoNewDescriptors(ledger, "a cancelled Accept");
}

// Several connections arrive together, and the callback of the first cancels the Accept: those that
// the backend has already are nobody's.
void AcceptCancelledAtTheFirstLeavesNothing(LoopRule& rule) {
  Loop* running = nullptr;
  RecordingOperation accept([&](RecordingOperation& operation) {
    UniqueFd(operation.result()).Reset();
    running->Cancel(operation);
  });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  running = loop.get();
  const Ledger ledger;
  for (int round = 0; round < kRounds; ++round) {
    Listener listener;
    const Handle handle = AdoptOrFail(*loop, listener.Take());
    accept.Forget();
    accept.PrepareAcceptMultishot(handle);
    loop->Submit(accept);
    if (round % 2 == 0) Settle(*loop);
    const std::array<UniqueFd, 4> clients = {listener.Connect(), listener.Connect(),
                                             listener.Connect(), listener.Connect()};
    ASSERT_TRUE(TurnUntilDone(*loop, {&accept})) << accept.Describe();
    EXPECT_EQ(ResultText(accept.final_result()), ResultText(-ECANCELED));
    loop->Close(handle);
    Settle(*loop);
  }
  ExpectNoNewDescriptors(ledger, "a multishot Accept cancelled at its first connection");
}

bool Exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

// The file is there, so the descriptor is, or is about to be; nobody has been told.
void OpenedTooLateIsClosed(LoopRule& rule) {
  std::string path;
  RecordingOperation open(
      [](RecordingOperation& operation) { UniqueFd(operation.result()).Reset(); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Ledger ledger;
  int too_late = 0;
  for (int round = 0; round < kRounds; ++round) {
    path = absl::StrCat(rule.temporary_directory(), "/opened", round);
    open.Forget();
    open.PrepareOpenAt(kCurrentDirectory, path.c_str(), O_CREAT | O_WRONLY, 0600);
    loop->Submit(open);
    loop->Poll();
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (!Exists(path) && absl::Now() < deadline) ::sched_yield();
    ASSERT_TRUE(Exists(path)) << "an OpenAt does not begin; " << open.Describe();
    const bool was_pending = !open.idle();
    loop->Cancel(open);
    ASSERT_TRUE(TurnUntilDone(*loop, {&open})) << open.Describe();
    if (!was_pending) continue;
    ++too_late;
    ASSERT_EQ(ResultText(open.final_result()), ResultText(-ECANCELED))
        << "a cancelled OpenAt delivers a descriptor";
  }
  ExpectNoNewDescriptors(ledger, "an OpenAt that was cancelled too late");
  if (too_late == 0) rule.Inconclusive("no cancel came after its OpenAt had an effect");
}

// ---- CAN-7 ----

// A thread is in the middle of it: the argument is in use until it is done, cancelled or not.
void WorkHoldsItsArgument(LoopRule& rule) {
  struct Argument {
    DescriptorPair begun = MakePipeToRead();
    DescriptorPair release = MakePipeToRead();
    int32_t answer = 0;
  };
  Argument argument;
  RecordingOperation work;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  work.PrepareWork(
      [](void* context) {
        Argument& argument = *static_cast<Argument*>(context);
        WriteAll(argument.begun.theirs.get(), "b");
        ReadExactly(argument.release.ours.get(), 1);
        return ++argument.answer;
      },
      &argument);
  loop->Submit(work);
  loop->Poll();
  ASSERT_EQ(ReadExactly(argument.begun.ours.get(), 1), "b");
  loop->Cancel(work);
  Settle(*loop);
  EXPECT_FALSE(work.done()) << "a cancelled Work completed while it was running; "
                            << work.Describe();
  WriteAll(argument.release.theirs.get(), "r");
  ASSERT_TRUE(TurnUntilDone(*loop, {&work})) << work.Describe();
  EXPECT_EQ(ResultText(work.final_result()), "1") << "what the function returned";
  EXPECT_EQ(argument.answer, 1);
}

enum class Reading { kRecv, kRecvMsg, kRead };

constexpr std::array<const char*, 3> kReadingNames = {"Recv", "RecvMsg", "Read"};

struct Receive {
  std::array<char, 256> buffer = {};
  iovec vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message = {};
  RecordingOperation operation;

  void Submit(Loop& loop, Reading reading, Handle handle) {
    operation.Forget();
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (reading == Reading::kRecv) operation.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    if (reading == Reading::kRecvMsg) operation.PrepareRecvMsg(handle, &message, 0);
    if (reading == Reading::kRead) {
      operation.PrepareRead(handle, absl::MakeSpan(buffer), kCurrentOffset);
    }
    loop.Submit(operation);
  }
};

// A cancelled receive's buffer is painted over in its final callback. What the peer sends then goes
// elsewhere: the paint stays.
void CancelledReceiveLetsGo(LoopRule& rule, Reading reading, DescriptorPair pair) {
  SCOPED_TRACE(kReadingNames[static_cast<size_t>(reading)]);
  constexpr char kPaint = '#';
  const std::string sent = "bytes that come after the cancel";
  Receive cancelled, next;
  cancelled.operation.set_hook([&](RecordingOperation&) { cancelled.buffer.fill(kPaint); });
  const auto expect_paint = [&] {
    ASSERT_TRUE(std::all_of(cancelled.buffer.begin(), cancelled.buffer.end(), [](char byte) {
      return byte == kPaint;
    })) << "the buffer of a cancelled operation was written to after its final completion";
  };
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const UniqueFd theirs = std::move(pair.theirs);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (int round = 0; round < kRounds; ++round) {
    cancelled.Submit(*loop, reading, handle);
    if (round % 4 != 0) loop->Poll();
    loop->Cancel(cancelled.operation);
    ASSERT_TRUE(TurnUntilDone(*loop, {&cancelled.operation})) << cancelled.operation.Describe();
    ASSERT_EQ(ResultText(cancelled.operation.final_result()), ResultText(-ECANCELED));
    WriteAll(theirs.get(), sent);
    Settle(*loop);
    ASSERT_NO_FATAL_FAILURE(expect_paint());
    next.Submit(*loop, reading, handle);
    ASSERT_TRUE(TurnUntilDone(*loop, {&next.operation})) << next.operation.Describe();
    Settle(*loop);
    ASSERT_NO_FATAL_FAILURE(expect_paint());
    ASSERT_EQ(ResultText(next.operation.final_result()),
              ResultText(static_cast<int32_t>(sent.size())))
        << "the next receive";
    ASSERT_EQ(std::string(next.buffer.data(), sent.size()), sent);
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// A cancelled send's buffer is painted over in its final callback: its reader finds what was
// reported, and no paint.
void CancelledSendLetsGo(LoopRule& rule, bool pipe) {
  SCOPED_TRACE(pipe ? "Write to a pipe" : "Send");
  constexpr size_t kSize = 256 << 10;
  std::string buffer(kSize, '\0');
  RecordingOperation send([&](RecordingOperation&) { buffer.assign(kSize, '#'); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = pipe ? MakePipeToWrite() : MakeSocketPair();
  const int ours = pair.ours.get();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (int round = 0; round < kRounds; ++round) {
    const size_t filled = FillUntilFull(ours);
    buffer.assign(kSize, 's');
    send.Forget();
    if (pipe) {
      send.PrepareWrite(handle, buffer, kCurrentOffset);
    } else {
      send.PrepareSend(handle, buffer, 0);
    }
    loop->Submit(send);
    loop->Poll();
    ReadExactly(pair.theirs.get(), filled);
    for (int turns = round % 3; turns > 0; --turns) loop->Poll();
    loop->Cancel(send);
    ASSERT_TRUE(TurnUntilDone(*loop, {&send})) << send.Describe();
    Settle(*loop);
    const std::string arrived = ReadAvailable(pair.theirs.get());
    ASSERT_EQ(arrived.size(), static_cast<size_t>(std::max(send.final_result(), 0)))
        << "bytes that arrived; " << send.Describe();
    ASSERT_EQ(arrived.find('#'), std::string::npos)
        << "the buffer of a cancelled operation was read after its final completion";
  }
}

// The same for a file, whose read may be under way on another thread or in the kernel.
void CancelledFileReadLetsGo(LoopRule& rule) {
  SCOPED_TRACE("Read of a file");
  constexpr size_t kSize = 4 << 20;
  const std::string path = absl::StrCat(rule.temporary_directory(), "/large");
  std::string buffer(kSize, '\0');
  RecordingOperation read([&](RecordingOperation&) { buffer.assign(kSize, '#'); });
  RecordingOperation behind;
  const Owned<Loop> loop = MakeLoop(rule, {.work_threads = 1});
  ASSERT_NE(loop, nullptr);
  UniqueFd file(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.ok()) << "open of " << path;
  WriteAll(file.get(), std::string(kSize, 'f'));
  const Handle handle = AdoptOrFail(*loop, std::move(file));
  for (int round = 0; round < 12; ++round) {
    buffer.assign(kSize, '\0');
    read.Forget();
    behind.Forget();
    read.PrepareRead(handle, absl::MakeSpan(buffer), 0);
    loop->Submit(read);
    for (uint64_t turns = rule.random()() % 4; turns > 0; --turns) loop->Poll();
    loop->Cancel(read);
    ASSERT_TRUE(TurnUntilDone(*loop, {&read})) << read.Describe();
    const int32_t result = read.final_result();
    ASSERT_TRUE(result == -ECANCELED || result == static_cast<int32_t>(kSize)) << read.Describe();
    // What the one blocking thread was doing is over when it gets here.
    behind.PrepareWork([](void*) { return 0; }, nullptr);
    loop->Submit(behind);
    ASSERT_TRUE(TurnUntilDone(*loop, {&behind})) << behind.Describe();
    Settle(*loop);
    ASSERT_EQ(buffer.find_first_not_of('#'), std::string::npos)
        << "the buffer of a cancelled operation was written to after its final completion";
  }
}

}  // namespace

void CAN_5(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(AcceptedTooLateIsClosed(rule));
  ASSERT_NO_FATAL_FAILURE(AcceptCancelledAnyTimeLeavesNothing(rule, false));
  if (rule.Has("multishot")) {
    ASSERT_NO_FATAL_FAILURE(AcceptCancelledAnyTimeLeavesNothing(rule, true));
    ASSERT_NO_FATAL_FAILURE(AcceptCancelledAtTheFirstLeavesNothing(rule));
  }
  ASSERT_NO_FATAL_FAILURE(OpenedTooLateIsClosed(rule));
}

void CAN_7(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(WorkHoldsItsArgument(rule));
  ASSERT_NO_FATAL_FAILURE(CancelledReceiveLetsGo(rule, Reading::kRecv, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(CancelledReceiveLetsGo(rule, Reading::kRecv, MakeTcpPair()));
  ASSERT_NO_FATAL_FAILURE(
      CancelledReceiveLetsGo(rule, Reading::kRecvMsg, MakeSocketPair(SOCK_DGRAM)));
  ASSERT_NO_FATAL_FAILURE(CancelledReceiveLetsGo(rule, Reading::kRead, MakePipeToRead()));
  ASSERT_NO_FATAL_FAILURE(CancelledSendLetsGo(rule, false));
  ASSERT_NO_FATAL_FAILURE(CancelledSendLetsGo(rule, true));
  ASSERT_NO_FATAL_FAILURE(CancelledFileReadLetsGo(rule));
}

}  // namespace tenon::conformance::loop_rules
