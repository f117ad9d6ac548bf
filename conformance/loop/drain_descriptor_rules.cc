// TD-4, TD-5: descriptors and their owners at the end of a loop.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// How a handle is dropped just before teardown.
enum class Drop { kClose, kCloseOperation, kOwner, kNotAtAll };

// A descriptor that a loop is to close, and how the outside knows.
struct Dropped {
  std::string name;
  int fd = -1;
  Handle handle;
  UniqueFd theirs;
};

class DroppedHandles {
 public:
  // Adopts one of each kind of descriptor; what can be read from has a read pending.
  void AdoptAll(LoopRule& rule, Loop& loop) {
    for (const bool read : {false, true}) {
      const std::string suffix = read ? " with a read pending" : "";
      Adopt(loop, absl::StrCat("a socket", suffix), MakeSocketPair(), read);
      Adopt(loop, absl::StrCat("a TCP connection", suffix), MakeTcpPair(), read);
      Adopt(loop, absl::StrCat("a pipe", suffix), MakePipeToRead(), read);
    }
    Adopt(loop, "a listener", {Listener().Take(), UniqueFd()}, false);
    Adopt(loop, "an eventfd", {UniqueFd(::eventfd(0, EFD_CLOEXEC)), UniqueFd()}, true);
    const std::string path = absl::StrCat(rule.temporary_directory(), "/file");
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    Adopt(loop, "a file", {std::move(file), UniqueFd()}, false);
    Settle(loop);
  }

  void DropAll(Loop& loop, Drop drop) {
    for (Dropped& dropped : dropped_) {
      switch (drop) {
        case Drop::kClose:
          loop.Close(dropped.handle);
          break;
        case Drop::kCloseOperation:
          closes_.push_back(std::make_unique<RecordingOperation>());
          closes_.back()->PrepareClose(dropped.handle);
          loop.Submit(*closes_.back());
          break;
        case Drop::kOwner:
          OwnedHandle(loop, dropped.handle).Reset();
          break;
        case Drop::kNotAtAll:
          break;
      }
    }
  }

  // Asks the process, and the far end: it sees the end of the stream, or a broken pipe.
  void ExpectClosed(const char* when) const {
    for (const Dropped& dropped : dropped_) {
      ASSERT_FALSE(IsOpen(dropped.fd))
          << dropped.name << " (descriptor " << dropped.fd << ") is still open " << when;
      if (!dropped.theirs.ok()) continue;
      ASSERT_NE(WaitFor(dropped.theirs.get(), POLLIN) & (POLLIN | POLLHUP | POLLERR), 0)
          << "the far end of " << dropped.name << " does not learn that it was closed " << when;
    }
    for (const auto& close : closes_) {
      EXPECT_EQ(close->results(), std::vector<int32_t>({0})) << close->Describe();
    }
  }

 private:
  void Adopt(Loop& loop, std::string name, DescriptorPair pair, bool read) {
    Dropped dropped = {.name = std::move(name),
                       .fd = pair.ours.get(),
                       .handle = {},
                       .theirs = std::move(pair.theirs)};
    dropped.handle = AdoptOrFail(loop, std::move(pair.ours));
    if (read) {
      reads_.push_back(std::make_unique<RecordingOperation>());
      reads_.back()->PrepareRead(dropped.handle, absl::MakeSpan(buffer_), kCurrentOffset);
      loop.Submit(*reads_.back());
    }
    dropped_.push_back(std::move(dropped));
  }

  std::vector<Dropped> dropped_;
  std::vector<std::unique_ptr<RecordingOperation>> reads_;
  std::vector<std::unique_ptr<RecordingOperation>> closes_;
  // Shared by reads that never read.
  char buffer_[16] = {};
};

void TearDownAfter(LoopRule& rule, Drop drop, bool drain) {
  const Ledger ledger(&rule.tracking());
  {
    DroppedHandles handles;
    Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    handles.AdoptAll(rule, *loop);
    ASSERT_FALSE(testing::Test::HasFailure());
    handles.DropAll(*loop, drop);
    // No turn in between.
    if (drain) {
      const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
      EXPECT_TRUE(drained.ok()) << drained;
      ASSERT_NO_FATAL_FAILURE(handles.ExpectClosed("after Drain"));
    }
    loop.reset();
    ASSERT_NO_FATAL_FAILURE(handles.ExpectClosed("after the loop"));
  }
  EXPECT_THAT(ledger.Differences(), testing::IsEmpty());
}

// Connections that stand in the backlog when Drain begins: whoever accepts one, closes it.
void TearDownWithAcceptsReady(LoopRule& rule, bool turn) {
  const Ledger ledger(&rule.tracking());
  {
    constexpr int kAccepts = 8;
    std::vector<std::unique_ptr<RecordingOperation>> accepts;
    std::vector<UniqueFd> clients;
    Listener listener;
    Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    for (int i = 0; i < kAccepts; ++i) clients.push_back(listener.Connect());
    const Handle handle = AdoptOrFail(*loop, listener.Take());
    for (int i = 0; i < kAccepts; ++i) {
      accepts.push_back(std::make_unique<RecordingOperation>([](RecordingOperation& accept) {
        if (accept.result() >= 0) UniqueFd(accept.result()).Reset();
      }));
      accepts.back()->PrepareAccept(handle);
      loop->Submit(*accepts.back());
    }
    if (turn) loop->Poll();
    const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
    EXPECT_TRUE(drained.ok()) << drained;
    for (const UniqueFd& client : clients) {
      EXPECT_NE(WaitFor(client.get(), POLLIN), 0) << "a connection is open after Drain, unowned";
    }
  }
  EXPECT_THAT(ledger.Differences(), testing::IsEmpty());
}

// Occupies the number `fd` with a duplicate of `stranger`.
UniqueFd Occupy(int fd, const UniqueFd& stranger) {
  UniqueFd occupied(::fcntl(stranger.get(), F_DUPFD_CLOEXEC, fd));
  EXPECT_EQ(occupied.get(), fd) << "the number of a closed descriptor is not free";
  return occupied;
}

}  // namespace

namespace loop_rules {

void TD_4(LoopRule& rule) {
  for (const Drop drop : {Drop::kClose, Drop::kCloseOperation, Drop::kOwner, Drop::kNotAtAll}) {
    for (const bool drain : {true, false}) {
      SCOPED_TRACE(absl::StrCat("drop ", static_cast<int>(drop), drain ? ", Drain" : ", ~Loop"));
      ASSERT_NO_FATAL_FAILURE(TearDownAfter(rule, drop, drain));
    }
  }
  for (const bool turn : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(TearDownWithAcceptsReady(rule, turn));
  }
}

namespace {

// Everything that may live longer than its loop.
struct Survivors {
  OwnedHandle idle;
  OwnedHandle reading;
  OwnedHandle moved_later;
  OwnedHandle closed_before;
  RecordingOperation completed;
  RecordingOperation cancelled;
  RecordingOperation never_submitted;
  PostedTask task{[](PostedTask&) {}};
  char byte = 0;
};

void FillSurvivors(Loop& loop, Survivors& survivors, std::vector<int>& numbers,
                   std::vector<UniqueFd>& others) {
  for (OwnedHandle* owner :
       {&survivors.idle, &survivors.reading, &survivors.moved_later, &survivors.closed_before}) {
    DescriptorPair pair = MakeSocketPair();
    numbers.push_back(pair.ours.get());
    others.push_back(std::move(pair.theirs));
    *owner = OwnedHandle(loop, AdoptOrFail(loop, std::move(pair.ours)));
  }
  survivors.cancelled.PrepareRecv(survivors.reading.get(), absl::MakeSpan(&survivors.byte, 1), 0);
  loop.Submit(survivors.cancelled);
  survivors.completed.PrepareNop();
  loop.Submit(survivors.completed);
  survivors.never_submitted.PrepareTimer(1);
  loop.Post(survivors.task);
  Settle(loop);
  loop.Close(survivors.closed_before.get());
  EXPECT_TRUE(survivors.completed.done());
  EXPECT_FALSE(survivors.cancelled.done()) << "a Recv was to be pending";
}

void SurviveLoop(LoopRule& rule, bool drain) {
  // Opened before the numbers become free, so that it takes none of them.
  const UniqueFd elsewhere(::eventfd(0, EFD_CLOEXEC));
  std::vector<int> numbers;
  std::vector<UniqueFd> others;
  auto survivors = std::make_unique<Survivors>();
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  FillSurvivors(*loop, *survivors, numbers, others);
  if (drain) {
    const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
    EXPECT_TRUE(drained.ok()) << drained;
  }
  loop.reset();
  for (OwnedHandle* owner : {&survivors->idle, &survivors->reading, &survivors->moved_later,
                             &survivors->closed_before}) {
    ASSERT_EQ(owner->get(), Handle{}) << "an OwnedHandle names its handle after its loop has gone";
  }
  EXPECT_EQ(survivors->cancelled.results(), std::vector<int32_t>({-ECANCELED}))
      << survivors->cancelled.Describe();

  // The numbers have new owners: whatever closes by number now, closes a stranger's descriptor.
  std::vector<UniqueFd> strangers;
  for (const int number : numbers) strangers.push_back(Occupy(number, elsewhere));
  OwnedHandle moved = std::move(survivors->moved_later);
  EXPECT_EQ(moved.get(), Handle{});
  EXPECT_EQ(survivors->idle.Release(), Handle{});
  survivors->reading.Reset();
  survivors.reset();
  for (const UniqueFd& stranger : strangers) {
    EXPECT_TRUE(IsOpen(stranger.get())) << "destroying an owner after its loop closed descriptor "
                                        << stranger.get() << " of somebody else";
  }
}

}  // namespace

void TD_5(LoopRule& rule) {
  for (const bool drain : {true, false}) {
    SCOPED_TRACE(drain ? "after Drain" : "without Drain");
    ASSERT_NO_FATAL_FAILURE(SurviveLoop(rule, drain));
  }
}

}  // namespace loop_rules
}  // namespace tenon::conformance
