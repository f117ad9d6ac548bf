// A stop, and a drain, at every point where a task can be suspended.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/deadline.h"
#include "tenon/core/task/multishot.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/pooled_buffer.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/transfer.h"
#include "tenon/core/task/when_all.h"
#include "tenon/core/task/when_any.h"
#include "tenon/core/task/with_stop_token.h"
#include "tenon/core/task/work.h"

namespace tenon {
namespace {

// Things to wait for in vain.
class CancellationTest : public TaskTest {
 public:
  CancellationTest() {
    CHECK_OK(loop().RegisterBuffers(4, 4096));
    loop_bytes_ = counting_.Stats().live_bytes;
    silent_ = MakeSocket();
    full_ = MakeSocket();
    std::string bytes(1 << 16, 'x');
    while (::send(loop().Descriptor(full_.handle), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    empty_pipe_ = MakePipe();
    full_pipe_ = MakePipe();
    while (::write(loop().Descriptor(full_pipe_.second), bytes.data(), bytes.size()) > 0) {
    }
    listener_ = MakeListener(&address_, &address_length_);
    file_ = Adopt(UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
    message_.msg_iov = &part_;
    message_.msg_iovlen = 1;
  }

  // Keeps the blocking threads busy, so that work for them waits, until ReleaseThreads.
  void OccupyThreads() {
    const auto wait = [](CancellationTest& test) -> Task<> {
      co_return co_await Work(test.loop(), [&test] {
        test.threads_occupied_.DecrementCount();
        test.released_.WaitForNotification();
      });
    };
    for (int i = 0; i < kThreads; ++i) {
      occupied_.push_back(std::make_unique<TaskRoot<>>(loop(), wait(*this)));
      occupied_.back()->Start();
    }
    loop().Poll();
    threads_occupied_.Wait();
  }
  void ReleaseThreads() { released_.Notify(); }
  // After ReleaseThreads.
  void AwaitThreads() {
    for (auto& root : occupied_) {
      Finish(*root);
      EXPECT_EQ(root->TakeResult(), absl::OkStatus());
    }
  }

  HandleAndFd silent_;
  HandleAndFd full_;
  HandlePair empty_pipe_;
  HandlePair full_pipe_;
  Handle listener_;
  Handle file_;
  sockaddr_storage address_ = {};
  socklen_t address_length_ = 0;
  char buffer_[64] = {};
  char large_[1 << 20] = {};
  iovec part_ = {.iov_base = buffer_, .iov_len = sizeof(buffer_)};
  msghdr message_ = {};
  struct statx stat_ = {};

 private:
  static constexpr int kThreads = LoopOptions().work_threads;

  absl::BlockingCounter threads_occupied_{kThreads};
  absl::Notification released_;
  std::vector<std::unique_ptr<TaskRoot<>>> occupied_;
};

// A task that waits for what does not come, and results in what the wait does.
struct Wait {
  const char* name;
  Task<> (*make)(CancellationTest& test);
};

Task<> SleepLong(Loop& loop) { co_return co_await SleepUntil(loop, kForeverNs); }

#define TENON_WAIT(name, expression)                                                 \
  Wait {                                                                             \
    name, +[](CancellationTest& test) -> Task<> { co_return (co_await expression); } \
  }
#define TENON_WAIT_STATUS_OR(name, expression)                                                \
  Wait {                                                                                      \
    name, +[](CancellationTest& test) -> Task<> { co_return (co_await expression).status(); } \
  }

const Wait kWaits[] = {
    TENON_WAIT("Sleep", Sleep(test.loop(), 3600 * kSecondNs)),
    TENON_WAIT("SleepUntil", SleepUntil(test.loop(), kForeverNs)),
    TENON_WAIT_STATUS_OR("Poll", Poll(test.loop(), test.silent_.handle, POLLIN)),
    TENON_WAIT_STATUS_OR("Accept", Accept(test.loop(), test.listener_)),
    TENON_WAIT_STATUS_OR("Recv", Recv(test.loop(), test.silent_.handle,
                                      absl::MakeSpan(test.buffer_))),
    TENON_WAIT_STATUS_OR("RecvMsg", RecvMsg(test.loop(), test.silent_.handle, &test.message_)),
    TENON_WAIT_STATUS_OR("RecvPooled", RecvPooled(test.loop(), test.silent_.handle)),
    TENON_WAIT("RecvExactly", RecvExactly(test.loop(), test.silent_.handle,
                                          absl::MakeSpan(test.buffer_))),
    TENON_WAIT_STATUS_OR("Send", Send(test.loop(), test.full_.handle, absl::string_view("x"))),
    TENON_WAIT_STATUS_OR("SendMsg", SendMsg(test.loop(), test.full_.handle, &test.message_)),
    TENON_WAIT("SendAll", SendAll(test.loop(), test.full_.handle, test.large_)),
    TENON_WAIT_STATUS_OR("Read", Read(test.loop(), test.empty_pipe_.first,
                                      absl::MakeSpan(test.buffer_))),
    TENON_WAIT("ReadExactly", ReadExactly(test.loop(), test.empty_pipe_.first,
                                          absl::MakeSpan(test.buffer_))),
    TENON_WAIT_STATUS_OR("Write", Write(test.loop(), test.full_pipe_.second,
                                        absl::string_view("x"))),
    TENON_WAIT("WriteAll", WriteAll(test.loop(), test.full_pipe_.second, test.large_)),
    TENON_WAIT_STATUS_OR("Splice", Splice(test.loop(), test.empty_pipe_.first, kCurrentOffset,
                                          test.full_.handle, kCurrentOffset, 8)),
    Wait{"AcceptStream",
         +[](CancellationTest& test) -> Task<> {
           AcceptStream stream(test.loop(), test.listener_);
           co_return (co_await stream.Next()).status();
         }},
    Wait{"RecvStream",
         +[](CancellationTest& test) -> Task<> {
           RecvStream stream(test.loop(), test.silent_.handle);
           co_return (co_await stream.Next()).status();
         }},
    TENON_WAIT("Task", SleepLong(test.loop())),
    TENON_WAIT("WithDeadline", WithDeadline(test.loop(), kForeverNs, SleepLong(test.loop()))),
    Wait{"WhenAll",
         +[](CancellationTest& test) -> Task<> {
           auto [first, second] =
               co_await WhenAll(SleepLong(test.loop()), SleepLong(test.loop()));
           EXPECT_TRUE(absl::IsCancelled(second));
           co_return first;
         }},
    Wait{"WhenAny",
         +[](CancellationTest& test) -> Task<> {
           auto [index, result] =
               co_await WhenAny(SleepLong(test.loop()), SleepLong(test.loop()));
           EXPECT_LT(index, 2u);
           co_return result;
         }},
    Wait{"Scope",
         +[](CancellationTest& test) -> Task<> {
           Scope scope(co_await CurrentContext());
           absl::Status status = scope.Spawn(SleepLong(test.loop()));
           status.Update(co_await scope.Join());
           // That its tasks were cancelled with it is no error of the scope.
           co_return scope.stop_requested() || !status.ok() ? absl::CancelledError("") : status;
         }},
};

// The same for what the blocking threads do, which have to be kept busy for it to wait.
const Wait kThreadWaits[] = {
    TENON_WAIT("Work", Work(test.loop(), [] { ADD_FAILURE() << "cancelled work was begun"; })),
    TENON_WAIT_STATUS_OR("file Read",
                         Read(test.loop(), test.file_, absl::MakeSpan(test.buffer_), 0)),
    TENON_WAIT("Fsync", Fsync(test.loop(), test.file_)),
    TENON_WAIT_STATUS_OR("OpenAt", OpenAt(test.loop(), kCurrentDirectory, "/dev/null", O_RDONLY)),
    TENON_WAIT("Statx", Statx(test.loop(), kCurrentDirectory, "/", 0, STATX_SIZE, &test.stat_)),
    TENON_WAIT("Rename",
               Rename(test.loop(), kCurrentDirectory, "/no/such", kCurrentDirectory, "/no/more")),
    TENON_WAIT("Unlink", Unlink(test.loop(), kCurrentDirectory, "/no/such")),
    TENON_WAIT("Mkdir", Mkdir(test.loop(), kCurrentDirectory, "/no/such/dir", 0700)),
};

// Starts a task, sees that it waits, asks it to stop.
void StopWhilePending(CancellationTest& test, const Wait& wait) {
  SCOPED_TRACE(wait.name);
  TaskRoot<> root(test.loop(), wait.make(test));
  root.Start();
  for (int turn = 0; turn < 3; ++turn) test.loop().Poll();
  ASSERT_FALSE(root.done()) << "it does not wait: the test shows nothing";
  root.RequestStop();
  EXPECT_FALSE(root.done()) << "a task was resumed inside RequestStop";
  test.Finish(root);
  const absl::Status status = root.TakeResult();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(status.message(), "");
}

TEST_F(CancellationTest, AStopEndsWhateverATaskWaitsFor) {
  for (const Wait& wait : kWaits) StopWhilePending(*this, wait);
}

TEST_F(CancellationTest, AStopEndsWhatWaitsForTheBlockingThreads) {
  OccupyThreads();
  for (const Wait& wait : kThreadWaits) StopWhilePending(*this, wait);
  ReleaseThreads();
  AwaitThreads();
}

TEST_F(CancellationTest, AStoppedTaskBeginsNothing) {
  const auto check = [this](const Wait& wait) {
    SCOPED_TRACE(wait.name);
    TaskRoot<> root(loop(), wait.make(*this));
    root.RequestStop();
    const uint64_t turns = loop().Stats().turns;
    root.Start();
    ASSERT_TRUE(root.done());
    EXPECT_EQ(loop().Stats().turns, turns);
    EXPECT_TRUE(absl::IsCancelled(root.TakeResult()));
  };
  for (const Wait& wait : kWaits) check(wait);
  for (const Wait& wait : kThreadWaits) check(wait);
  EXPECT_EQ(loop().Stats().pending, 0u);
}

TEST_F(CancellationTest, WorkThatHasBegunRunsToItsEnd) {
  absl::Notification began;
  absl::Notification go_on;
  struct Both {
    absl::Notification* began;
    absl::Notification* go_on;
  } both{&began, &go_on};
  const auto body = [](Loop& loop, Both both) -> Task<absl::StatusOr<int>> {
    co_return co_await Work(loop, [both] {
      both.began->Notify();
      both.go_on->WaitForNotification();
      return 7;
    });
  };
  TaskRoot<absl::StatusOr<int>> root(loop(), body(loop(), both));
  root.Start();
  loop().Poll();
  began.WaitForNotification();
  root.RequestStop();
  loop().Poll();
  EXPECT_FALSE(root.done());
  go_on.Notify();
  Finish(root);
  EXPECT_EQ(*root.TakeResult(), 7);
}

TEST_F(CancellationTest, DrainEndsEveryTaskAsCancelled) {
  OccupyThreads();
  std::vector<std::unique_ptr<TaskRoot<>>> roots;
  const auto start = [&](const Wait& wait) {
    roots.push_back(std::make_unique<TaskRoot<>>(loop(), wait.make(*this)));
    roots.back()->Start();
  };
  for (const Wait& wait : kWaits) start(wait);
  for (const Wait& wait : kThreadWaits) start(wait);
  loop().Poll();
  for (const auto& root : roots) ASSERT_FALSE(root->done());
  // The blocking threads are still at it, all else is cancelled (TD-6).
  EXPECT_TRUE(absl::IsDeadlineExceeded(loop().Drain(loop().Now())));
  ReleaseThreads();
  EXPECT_EQ(loop().Drain(), absl::OkStatus());
  AwaitThreads();
  for (size_t i = 0; i < roots.size(); ++i) {
    ASSERT_TRUE(roots[i]->done());
    const absl::Status status = roots[i]->TakeResult();
    EXPECT_TRUE(absl::IsCancelled(status)) << "wait " << i << ": " << status;
  }
  EXPECT_EQ(loop().Stats().pending, 0u);
}

TEST_F(CancellationTest, AStopRacingACompletionKeepsTheResult) {
  const auto body = [](CancellationTest& test) -> Task<absl::StatusOr<size_t>> {
    co_return co_await Recv(test.loop(), test.silent_.handle, absl::MakeSpan(test.buffer_));
  };
  const auto stop = [](Loop& loop, TaskRoot<absl::StatusOr<size_t>>* root) -> Task<> {
    absl::Status status = co_await Nop(loop);
    root->RequestStop();
    co_return status;
  };
  TaskRoot<absl::StatusOr<size_t>> root(loop(), body(*this));
  root.Start();
  loop().Poll();
  ASSERT_EQ(::send(silent_.fd.get(), "abc", 3, 0), 3);
  // Both are ready in the same turn, in whichever order.
  TaskRoot<> stopper(loop(), stop(loop(), &root));
  stopper.Start();
  Finish(root);
  Finish(stopper);
  const absl::StatusOr<size_t> count = root.TakeResult();
  if (count.ok()) {
    EXPECT_EQ(*count, 3u);
  } else {
    // Then the bytes are still there (CAN-3).
    EXPECT_TRUE(absl::IsCancelled(count.status()));
    EXPECT_EQ(::recv(loop().Descriptor(silent_.handle), buffer_, 3, MSG_DONTWAIT), 3);
  }
}

TEST_F(CancellationTest, WithStopTokenShieldsFromTheParentsStop) {
  StopSource own;
  const auto body = [](Loop& loop, StopToken token) -> Task<> {
    EXPECT_TRUE(absl::IsCancelled(co_await SleepUntil(loop, kForeverNs)));
    const auto polite = [](Loop& loop) -> Task<> { co_return co_await Sleep(loop, 1); };
    EXPECT_EQ(co_await WithStopToken(StopToken(), polite(loop)), absl::OkStatus());
    co_return co_await WithStopToken(token, SleepLong(loop));
  };
  TaskRoot<> root(loop(), body(loop(), own.token()));
  root.Start();
  root.RequestStop();
  for (int turn = 0; turn < 3; ++turn) loop().RunOnce(loop().Now() + kMillisecondNs);
  ASSERT_FALSE(root.done());
  own.RequestStop();
  Finish(root);
  EXPECT_TRUE(absl::IsCancelled(root.TakeResult()));
}

}  // namespace
}  // namespace tenon
