// Queues that fill up, and cancels that race what they cancel.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/backends/io_uring/backend_fixture.h"
#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/core/loop/loop.h"

namespace tenon::io_uring {
namespace {

using QueueTest = IoUringBackendTest;

TEST_F(QueueTest, AFullSubmissionQueueIsSubmittedAndGoneOnWith) {
  MakeLoop({.queue_depth = 2});
  const uint64_t before = kernel_.calls;
  PollManyTimes(100);
  EXPECT_GE(kernel_.calls - before, 40u) << "the queue was never full";
}

TEST_F(QueueTest, CompletionsThatOverflowTheQueueAreNotLost) {
  constexpr int kCount = 3'000;
  MakeLoop({.queue_depth = 1});
  // Older kernels do at once what newer ones do a little of in each call.
  kernel_.before = [](::io_uring& ring, Enter) {
    while ((*ring.sq.kflags & IORING_SQ_TASKRUN) != 0 && !io_uring_cq_has_overflow(&ring)) {
      io_uring_get_events(&ring);
    }
    return 0;
  };
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  Recorded recorded;
  std::vector<std::unique_ptr<Operation>> polls;
  for (int i = 0; i < kCount; ++i) {
    polls.push_back(std::make_unique<Operation>(&Record, &recorded));
    polls.back()->PreparePoll(handle, POLLIN);
    loop_->Submit(*polls.back());
  }
  while (loop_->Stats().queued > 0) loop_->Poll();
  ASSERT_EQ(::write(peer.get(), "x", 1), 1);
  RunUntilFinal(recorded, kCount);
  EXPECT_EQ(recorded.completions, kCount);
  EXPECT_TRUE(kernel_.saw_overflow) << "the queue did not overflow";
}

TEST_F(QueueTest, EntriesThatTheKernelDidNotTakeAreSubmittedAgain) {
  kernel_.most_taken = 3;
  PollManyTimes(100);
}

TEST_F(QueueTest, AKernelThatIsBusyOrShortOfMemoryIsAskedAgain) {
  for (const int refusal : {-EBUSY, -EAGAIN, -EINTR}) {
    SCOPED_TRACE(refusal);
    int refused = 0;
    MakeLoop({.queue_depth = 4});
    kernel_.before = [&](::io_uring&, Enter) { return ++refused % 3 != 0 ? refusal : 0; };
    PollManyTimes(50);
    kernel_.before = nullptr;
    EXPECT_GT(refused, 10);
  }
}

TEST_F(QueueTest, ACancelBehindAFullQueueTakesEffect) {
  MakeLoop({.queue_depth = 1});
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  char byte = 0;
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
  loop_->Submit(recv);
  Settle();
  ASSERT_EQ(recv.state(), OperationState::kInFlight);
  // The kernel takes nothing while the cancel is made: it finds no room.
  bool stuck = true;
  int refusals = 0;
  kernel_.before = [&](::io_uring&, Enter) {
    refusals += stuck ? 1 : 0;
    return stuck ? -EBUSY : 0;
  };
  Recorded polled;
  std::array<Operation, 3> polls = {Operation(&Record, &polled), Operation(&Record, &polled),
                                    Operation(&Record, &polled)};
  for (Operation& poll : polls) {
    poll.PreparePoll(handle, POLLOUT);
    loop_->Submit(poll);
  }
  loop_->Poll();
  loop_->Cancel(recv);
  loop_->Poll();
  ASSERT_GT(refusals, 0);
  EXPECT_EQ(recorded.completions, 0);
  stuck = false;
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ECANCELED);
  RunUntilFinal(polled, 3);
}

TEST_F(QueueTest, ACancelThatMetNothingIsRepeatedWhileTheOperationIsThere) {
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  char byte = 0;
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
  loop_->Submit(recv);
  Settle();
  int cancels = 0;
  kernel_.on_entry = [&](io_uring_sqe& entry) {
    if (entry.opcode != IORING_OP_ASYNC_CANCEL) return;
    // The first is for an operation that does not exist: -ENOENT, as in the race.
    if (++cancels == 1) entry.addr = 8;
  };
  loop_->Cancel(recv);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ECANCELED);
  EXPECT_EQ(cancels, 2);
}

TEST_F(QueueTest, ACancelThatMetNothingIsRepeatedWhenEmbeddedToo) {
  const absl::StatusOr<int> poll_fd = loop_->PollFd();
  ASSERT_TRUE(poll_fd.ok()) << poll_fd.status();
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  char byte = 0;
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
  loop_->Submit(recv);
  Settle();
  int cancels = 0;
  kernel_.on_entry = [&](io_uring_sqe& entry) {
    if (entry.opcode == IORING_OP_ASYNC_CANCEL && ++cancels == 1) entry.addr = 8;
  };
  loop_->Cancel(recv);
  while (recorded.completions == 0) {
    pollfd entry = {.fd = *poll_fd, .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&entry, 1, 5'000), 1) << "the foreign loop is not called back";
    loop_->Poll();
  }
  EXPECT_EQ(recorded.result, -ECANCELED);
  EXPECT_GE(cancels, 2);
}

TEST_F(QueueTest, ACancelOfWhatAThreadOfTheKernelRunsTakesEffect) {
  const std::string path = testing::TempDir() + "/fifo_of_the_queue_test";
  ::unlink(path.c_str());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  int already = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    already += completion.user_data == kCancelTag && completion.res == -EALREADY;
  };
  Recorded recorded;
  Operation open(&Record, &recorded);
  open.PrepareOpenAt(kCurrentDirectory, path.c_str(), O_WRONLY, 0);
  loop_->Submit(open);
  Settle();
  ASSERT_EQ(open.state(), OperationState::kInFlight) << "nobody reads the FIFO";
  loop_->Cancel(open);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ECANCELED);
  EXPECT_GE(already, 1);
}

TEST_F(QueueTest, AConnectionThatStandsIsNotReportedAsCancelled) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), generic, length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), generic, &length), 0);
  const Handle handle = Adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int changed = 0;
  // The cancel finds the request before the thread has seen that the connection stands.
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.user_data == kWakeTag || completion.res != 0) return;
    completion.res = -ECANCELED;
    ++changed;
  };
  Recorded recorded;
  Operation connect(&Record, &recorded);
  connect.PrepareConnect(handle, generic, length);
  loop_->Submit(connect);
  RunUntilFinal(recorded);
  EXPECT_EQ(changed, 1);
  EXPECT_EQ(recorded.result, 0);
}

TEST_F(QueueTest, ACancelDoesNotMeetTheNextUseOfItsOperation) {
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  char byte = 0;
  Recorded recorded;
  Operation recv(&Record, &recorded);
  for (int round = 0; round < 100; ++round) {
    recorded = {};
    recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
    loop_->Submit(recv);
    Settle();
    // Cancelled and complete in one: the cancel is with the kernel after the operation has ended.
    ASSERT_EQ(::write(peer.get(), "a", 1), 1);
    loop_->Cancel(recv);
    RunUntilFinal(recorded);
    const bool taken = recorded.result == 1;
    ASSERT_TRUE(taken || recorded.result == -ECANCELED) << recorded.result;
    recorded = {};
    recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
    loop_->Submit(recv);
    if (taken) {
      ASSERT_EQ(::write(peer.get(), "b", 1), 1);
    }
    RunUntilFinal(recorded);
    ASSERT_EQ(recorded.result, 1) << "in round " << round;
  }
}

TEST_F(QueueTest, ManyWakesAreOneCompletion) {
  Settle();
  int completions = 0;
  kernel_.on_completion = [&](io_uring_cqe&) { ++completions; };
  for (int i = 0; i < 1'000; ++i) backend_->Wake();
  const uint64_t before = kernel_.calls;
  loop_->RunOnce();
  loop_->RunOnce(loop_->Now() + kMillisecondNs);
  EXPECT_GE(completions, 1);
  EXPECT_LE(completions, 2);
  EXPECT_LE(kernel_.calls - before, 4u);
}

TEST_F(QueueTest, AWakeIsNotLostWhenTheKernelEndsItsPoll) {
  int ended = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.user_data != kWakeTag) return;
    completion.flags &= ~IORING_CQE_F_MORE;
    ++ended;
  };
  for (int round = 1; round <= 3; ++round) {
    backend_->Wake();
    const int64_t deadline_ns = loop_->Now() + 5 * kSecondNs;
    loop_->RunOnce(deadline_ns);
    ASSERT_LT(loop_->Now(), deadline_ns) << "in round " << round;
    ASSERT_GE(ended, round);
  }
}

TEST_F(QueueTest, WhatAnotherEventfdBringsAboutIsSignalledEveryTime) {
  const absl::StatusOr<int> poll_fd = loop_->PollFd();
  ASSERT_TRUE(poll_fd.ok()) << poll_fd.status();
  const UniqueFd counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const Handle handle = Adopt(::dup(counter.get()));
  Recorded recorded;
  uint64_t value = 0;
  Operation read(&Record, &recorded);
  for (int round = 1; round <= 5; ++round) {
    read.PrepareRead(handle, absl::MakeSpan(reinterpret_cast<char*>(&value), sizeof(value)),
                     kCurrentOffset);
    loop_->Submit(read);
    loop_->Poll();
    loop_->Poll();
    ASSERT_EQ(::eventfd_write(counter.get(), 1), 0);
    while (recorded.completions < round) {
      pollfd entry = {.fd = *poll_fd, .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&entry, 1, 5'000), 1) << "silent in round " << round;
      loop_->Poll();
    }
  }
}

}  // namespace
}  // namespace tenon::io_uring
