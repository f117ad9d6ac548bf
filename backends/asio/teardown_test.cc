// The end of a loop, of its io_context and of a process, in every order.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "gtest/gtest.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/context_fixture.h"
#include "tenon/core/loop/loop.h"

namespace tenon::asio {
namespace {

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// One operation for each way to wait: for input, for room, for events.
class Waiting {
 public:
  void Submit(Loop& loop, Handle handle) {
    recv.PrepareRecv(handle, absl::MakeSpan(bytes_), 0);
    poll.PreparePoll(handle, POLLPRI);
    loop.Submit(recv);
    loop.Submit(poll);
    // Until no more fits.
    while (true) {
      send.PrepareSend(handle, block_, 0);
      loop.Submit(send);
      loop.Poll();
      if (send.state() == OperationState::kInFlight) break;
      ASSERT_GT(send.last_result, 0);
    }
    ASSERT_EQ(recv.state(), OperationState::kInFlight);
    ASSERT_EQ(poll.state(), OperationState::kInFlight);
    sends_ = send.completions;
  }
  void ExpectCancelled() const {
    EXPECT_EQ(recv.completions, 1);
    EXPECT_EQ(recv.last_result, -ECANCELED);
    EXPECT_EQ(poll.completions, 1);
    EXPECT_EQ(poll.last_result, -ECANCELED);
    EXPECT_EQ(send.completions, sends_ + 1);
    EXPECT_EQ(send.last_result, -ECANCELED);
  }

  CountedOperation recv, poll, send;

 private:
  char bytes_[16] = {};
  const std::string block_ = std::string(1 << 20, 'x');
  int sends_ = 0;
};

TEST_F(ContextTest, ALoopThatEndsFirstLeavesNothingToRun) {
  Waiting waiting;
  waiting.Submit(*loop_, handle_);
  const int fd = loop_->Descriptor(handle_);
  loop_.reset();
  waiting.ExpectCancelled();
  EXPECT_FALSE(IsOpen(fd));
  // The cancelled waits' handlers run now, and have nobody to tell.
  ASSERT_EQ(::send(peer_.get(), "x", 1, MSG_NOSIGNAL), -1) << "the loop's socket lives on";
  context_->restart();
  EXPECT_GT(context_->run(), 0u);
  // Their memory serves the next.
  loop_ = MakeLoop();
  CountedOperation timer;
  timer.PrepareTimer(1);
  loop_->Submit(timer);
  loop_->Run();
  EXPECT_EQ(timer.completions, 1);
}

TEST_F(ContextTest, ALoopMayEndWithEventsThatItHasNotLookedAt) {
  BeginRecv(recv_);
  loop_->Poll();
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  ASSERT_EQ(context_->run_one(), 1u);
  loop_.reset();
  EXPECT_EQ(recv_.completions, 1);
  context_->restart();
  context_->run();
}

TEST_F(ContextTest, ALoopMayEndInsideAHandler) {
  Waiting waiting;
  waiting.Submit(*loop_, handle_);
  // Work that goes on while the loop is being destroyed, which has to wait for it.
  struct Gate {
    std::atomic<bool> entered{false};
    std::atomic<bool> open{false};
  } gate;
  CountedOperation work;
  work.PrepareWork(
      [](void* argument) {
        auto& gate = *static_cast<Gate*>(argument);
        gate.entered = true;
        while (!gate.open) std::this_thread::yield();
        return 7;
      },
      &gate);
  loop_->Submit(work);
  loop_->Poll();
  while (!gate.entered) std::this_thread::yield();
  int other = 0;
  std::thread opener;
  boost::asio::post(*context_, [&] {
    boost::asio::post(*context_, [&] { ++other; });
    opener = std::thread([&] {
      for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
      gate.open = true;
    });
    loop_.reset();
    EXPECT_EQ(other, 0) << "a handler ran inside another";
  });
  while (loop_ != nullptr) ASSERT_EQ(context_->run_one(), 1u);
  opener.join();
  waiting.ExpectCancelled();
  EXPECT_EQ(work.last_result, 7);
  context_->run();
  EXPECT_EQ(other, 1);
}

TEST_F(ContextTest, AContextThatEndsFirstCancelsWhatIsInFlight) {
  Waiting waiting;
  waiting.Submit(*loop_, handle_);
  const int fd = loop_->Descriptor(handle_);
  context_.reset();
  EXPECT_TRUE(IsOpen(fd)) << "the context closed a descriptor of the loop";
  EXPECT_EQ(waiting.recv.state(), OperationState::kInFlight) << "a callback ran outside of a turn";
  loop_->RunOnce();
  waiting.ExpectCancelled();

  // Later ones too, whether they would have had to wait or not.
  CountedOperation send, shutdown, timer, work;
  send.PrepareSend(handle_, "x", 0);
  shutdown.PrepareShutdown(handle_, SHUT_WR);
  timer.PrepareTimer(2 * kMillisecondNs);
  work.PrepareWork([](void*) { return 7; }, nullptr);
  for (Operation* operation : {&send, &shutdown, &timer, &work}) loop_->Submit(*operation);
  loop_->Run();
  EXPECT_EQ(send.last_result, -ECANCELED);
  EXPECT_EQ(shutdown.last_result, -ECANCELED);
  EXPECT_EQ(timer.last_result, 0);
  EXPECT_EQ(work.last_result, 7);

  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd peer(sockets[1]);
  EXPECT_EQ(loop_->Adopt(UniqueFd(sockets[0])).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(IsOpen(sockets[0]));
  EXPECT_TRUE(loop_->Drain().ok());
  EXPECT_FALSE(IsOpen(fd));
}

TEST_F(ContextTest, ALoopWithoutItsContextStillSleepsAndWakes) {
  context_.reset();
  const int64_t before_ns = loop_->Now();
  loop_->Poll();  // takes the wake by which the context said that it is gone
  loop_->RunOnce(before_ns + 2 * kMillisecondNs);
  EXPECT_GE(loop_->Now(), before_ns + 2 * kMillisecondNs);
  std::thread waker([&] { loop_->Wake(); });
  loop_->RunOnce();
  waker.join();
}

TEST_F(ContextTest, WhoeverWatchesALoopHearsThatItsContextIsGone) {
  const absl::StatusOr<int> fd = loop_->PollFd();
  ASSERT_TRUE(fd.ok()) << fd.status();
  BeginRecv(recv_);
  loop_->Poll();
  pollfd entry = {.fd = *fd, .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&entry, 1, 0), 0);
  context_.reset();
  ASSERT_EQ(::poll(&entry, 1, 0), 1);
  loop_->Poll();
  EXPECT_EQ(recv_.last_result, -ECANCELED);
  loop_->Poll();
  EXPECT_EQ(::poll(&entry, 1, 0), 0) << "there is nothing left to say";
}

TEST_F(ContextTest, ALoopMayEndAfterItsContextWithoutATurn) {
  Waiting waiting;
  waiting.Submit(*loop_, handle_);
  context_.reset();
  loop_.reset();
  waiting.ExpectCancelled();
}

TEST_F(ContextTest, AContextMayEndWithEventsThatTheLoopHasNotLookedAt) {
  BeginRecv(recv_);
  loop_->Poll();
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  ASSERT_EQ(context_->run_one(), 1u);
  context_.reset();
  loop_->Poll();
  EXPECT_EQ(recv_.last_result, -ECANCELED);
}

TEST_F(ContextTest, ADriverMayOutliveItsContextButNotItsLoop) {
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  BeginRecv(recv_);
  context_->poll();
  context_.reset();
  driver.reset();
  loop_.reset();
  EXPECT_EQ(recv_.last_result, -ECANCELED);
}

TEST_F(ContextTest, TwoLoopsShareAContextAndEndOneByOne) {
  CountedOperation first, second;
  Owned<Loop> other = MakeLoop();
  first.PrepareTimer(kMillisecondNs);
  second.PrepareTimer(kMillisecondNs);
  BeginRecv(recv_);
  loop_->Submit(first);
  other->Submit(second);
  other->Run();
  loop_->RunOnce(loop_->Now() + kMillisecondNs);
  EXPECT_EQ(second.completions, 1);
  other.reset();
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  loop_->Run();
  EXPECT_EQ(first.completions, 1);
  EXPECT_EQ(recv_.last_result, 1);
}

// ---- Forked children. ----

// Runs `child` in a child process and expects it to return true.
template <typename Child>
void ExpectInChild(Child child) {
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) ::_exit(child() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// What waited before the fork goes on waiting in the parent: for its descriptor, and for a wake.
void ExpectUndisturbed(Loop& loop, CountedOperation& recv, int peer) {
  ASSERT_EQ(recv.completions, 0);
  int posted = 0;
  PostedTask task([](PostedTask& own) { ++*static_cast<int*>(own.context()); }, &posted);
  std::thread poster([&] { loop.Post(task); });
  const int64_t deadline_ns = loop.Now() + 10 * kSecondNs;
  while (posted == 0 && loop.Now() < deadline_ns) loop.RunOnce(deadline_ns);
  poster.join();
  EXPECT_EQ(posted, 1);
  ASSERT_EQ(::write(peer, "x", 1), 1);
  while (recv.completions == 0 && loop.Now() < deadline_ns) loop.RunOnce(deadline_ns);
  EXPECT_EQ(recv.last_result, 1);
}

TEST_F(ContextTest, AForkedChildDestroysItsCopyAndDisturbsNothing) {
  BeginRecv(recv_);
  // A wait of its own, so that the wake is registered too.
  loop_->RunOnce(loop_->Now() + kMillisecondNs);
  ExpectInChild([&] {
    loop_.reset();
    context_.reset();
    return recv_.idle();
  });
  ExpectUndisturbed(*loop_, recv_, peer_.get());
  ExpectInChild([&] {
    context_.reset();
    loop_.reset();
    return true;
  });
  CountedOperation again;
  BeginRecv(again);
  loop_->Poll();
  ExpectUndisturbed(*loop_, again, peer_.get());
}

TEST_F(ContextTest, AForkedChildMayGoOnWithTheContext) {
  BeginRecv(recv_);
  loop_->RunOnce(loop_->Now() + kMillisecondNs);
  ExpectInChild([&] {
    context_->notify_fork(boost::asio::execution_context::fork_child);
    loop_.reset();
    // Its own handlers, and another backend; not a loop, whose threads cannot be started in a
    // forked child under the thread sanitizer.
    bool fired = false;
    boost::asio::steady_timer timer(*context_, std::chrono::milliseconds(1));
    timer.async_wait([&](const boost::system::error_code& error) { fired = !error; });
    context_->restart();
    context_->run();
    const bool made = ContextFactory(*context_).Create({}, allocator_).ok();
    return fired && made;
  });
  ExpectUndisturbed(*loop_, recv_, peer_.get());
}

}  // namespace
}  // namespace tenon::asio
