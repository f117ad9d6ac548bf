// What is Asio's own: waits that ask anew, and handlers that outlive what they were for. The
// behaviour that all backends share is tested in //conformance.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/context_fixture.h"
#include "tenon/core/loop/loop.h"

namespace tenon::asio {
namespace {

struct Pair {
  Pair() {
    int sockets[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ours = UniqueFd(sockets[0]);
    theirs = UniqueFd(sockets[1]);
  }
  UniqueFd ours;
  UniqueFd theirs;
};

class AsioBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(Factory(), {}, allocator_);
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }

  Handle Adopt(UniqueFd fd) {
    absl::StatusOr<Handle> handle = loop_->Adopt(std::move(fd));
    if (handle.ok()) return *handle;
    ADD_FAILURE() << handle.status();
    return {};
  }

  void RunUntilCompleted(const CountedOperation& operation, int completions) {
    const int64_t deadline_ns = loop_->Now() + 10 * kSecondNs;
    while (operation.completions < completions && loop_->Now() < deadline_ns) {
      loop_->RunOnce(deadline_ns);
    }
    ASSERT_EQ(operation.completions, completions);
  }

  alloc::SystemAllocator allocator_;
  char buffer_[64] = {};
  Owned<Loop> loop_;
};

TEST_F(AsioBackendTest, AHangUpAloneIsAwaitedWhereThereIsNoInput) {
  Pair pair;
  CountedOperation poll;
  poll.PreparePoll(Adopt(std::move(pair.ours)), POLLRDHUP);
  loop_->Submit(poll);
  loop_->Poll();
  ASSERT_EQ(poll.state(), OperationState::kInFlight);
  ASSERT_EQ(::shutdown(pair.theirs.get(), SHUT_WR), 0);
  RunUntilCompleted(poll, 1);
  EXPECT_EQ(poll.last_result, POLLRDHUP);
}

TEST_F(AsioBackendTest, AHangUpAloneBehindUnreadInputIsRefusedAndNotASpin) {
  Pair pair;
  CountedOperation before, during;
  const Handle handle = Adopt(std::move(pair.ours));
  during.PreparePoll(handle, POLLRDHUP);
  loop_->Submit(during);
  loop_->Poll();
  ASSERT_EQ(during.state(), OperationState::kInFlight);
  ASSERT_EQ(::write(pair.theirs.get(), "x", 1), 1);
  RunUntilCompleted(during, 1);
  EXPECT_EQ(during.last_result, -EOPNOTSUPP);
  before.PreparePoll(handle, POLLRDHUP);
  loop_->Submit(before);
  RunUntilCompleted(before, 1);
  EXPECT_EQ(before.last_result, -EOPNOTSUPP);
  // With input among the events there is nothing to refuse.
  before.PreparePoll(handle, POLLRDHUP | POLLIN);
  loop_->Submit(before);
  RunUntilCompleted(before, 2);
  EXPECT_EQ(before.last_result, POLLIN);
}

TEST_F(AsioBackendTest, APollForNothingSeesAHangUp) {
  Pair pair;
  CountedOperation poll;
  poll.PreparePoll(Adopt(std::move(pair.ours)), 0);
  loop_->Submit(poll);
  loop_->Poll();
  ASSERT_EQ(poll.state(), OperationState::kInFlight);
  pair.theirs.Reset();
  RunUntilCompleted(poll, 1);
  EXPECT_EQ(poll.last_result, POLLHUP);
}

TEST_F(AsioBackendTest, WhatCannotBePolledIsAFile) {
  // Asio registers it as if it could, and every wait for it fails.
  CountedOperation read, write;
  read.PrepareRead(Adopt(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))),
                   absl::MakeSpan(buffer_), 0);
  loop_->Submit(read);
  RunUntilCompleted(read, 1);
  EXPECT_EQ(read.last_result, 0);
  // What can be, of the same kind, is none.
  const UniqueFd counter(::eventfd(0, EFD_CLOEXEC));
  read.PrepareRead(Adopt(UniqueFd(::dup(counter.get()))), absl::MakeSpan(buffer_, 8),
                   kCurrentOffset);
  loop_->Submit(read);
  loop_->Poll();
  ASSERT_EQ(read.state(), OperationState::kInFlight);
  const uint64_t one = 1;
  ASSERT_EQ(::write(counter.get(), &one, sizeof(one)), 8);
  RunUntilCompleted(read, 2);
  EXPECT_EQ(read.last_result, 8);
}

TEST_F(AsioBackendTest, AWaitThatACancelLeavesBehindServesTheNext) {
  Pair pair;
  CountedOperation first, second;
  const Handle handle = Adopt(std::move(pair.ours));
  first.PrepareRecv(handle, absl::MakeSpan(buffer_), 0);
  loop_->Submit(first);
  loop_->Poll();
  ASSERT_EQ(first.state(), OperationState::kInFlight);
  loop_->Cancel(first);
  RunUntilCompleted(first, 1);
  EXPECT_EQ(first.last_result, -ECANCELED);
  second.PrepareRecv(handle, absl::MakeSpan(buffer_), 0);
  loop_->Submit(second);
  loop_->Poll();
  ASSERT_EQ(second.state(), OperationState::kInFlight);
  ASSERT_EQ(::write(pair.theirs.get(), "abc", 3), 3);
  RunUntilCompleted(second, 1);
  EXPECT_EQ(second.last_result, 3);
}

TEST_F(AsioBackendTest, HandlersOfClosedDescriptorsReachNobodyInTheirPlace) {
  // Without a turn in between, so that no handler of a cancelled wait has run.
  constexpr int kGenerations = 50;
  for (int i = 0; i < kGenerations; ++i) {
    Pair pair;
    CountedOperation recv;
    const Handle handle = Adopt(std::move(pair.ours));
    recv.PrepareRecv(handle, absl::MakeSpan(buffer_), 0);
    loop_->Submit(recv);
    while (recv.state() != OperationState::kInFlight) loop_->Poll();
    if (i % 2 == 0) {
      // It is ready, and nobody has looked.
      ASSERT_EQ(::write(pair.theirs.get(), "old", 3), 3);
    }
    Pair next;
    loop_->Close(handle);
    while (recv.completions == 0) loop_->Poll();
    const Handle reused = Adopt(std::move(next.ours));
    ASSERT_EQ(reused.index, handle.index);
    CountedOperation again;
    again.PrepareRecv(reused, absl::MakeSpan(buffer_), 0);
    loop_->Submit(again);
    loop_->Poll();
    loop_->Poll();
    ASSERT_EQ(again.completions, 0) << "an event of the closed descriptor came to its successor";
    ASSERT_EQ(::write(next.theirs.get(), "new!", 4), 4);
    RunUntilCompleted(again, 1);
    ASSERT_EQ(again.last_result, 4);
    loop_->Close(reused);
  }
}

TEST_F(AsioBackendTest, ACallbackMayAdoptAndCloseAnyNumber) {
  // More than there are handles, each with a wait whose handler cannot run before the turn is over.
  struct Churn {
    Loop* loop;
    int left = 1'000;
    bool failed = false;
  } churn = {.loop = loop_.get()};
  Operation nop(
      [](Operation& operation) {
        auto& churn = *static_cast<Churn*>(operation.context());
        for (; churn.left > 0; --churn.left) {
          absl::StatusOr<Handle> handle = churn.loop->Adopt(std::move(Pair().ours));
          churn.failed = churn.failed || !handle.ok();
          if (handle.ok()) churn.loop->Close(*handle);
        }
      },
      &churn);
  nop.PrepareNop();
  loop_->Submit(nop);
  loop_->Run();
  EXPECT_FALSE(churn.failed);
  EXPECT_EQ(churn.left, 0);
}

TEST_F(AsioBackendTest, SaysWhyItCannotBeEmbedded) {
  const absl::Status status = loop_->PollFd().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), testing::HasSubstr("ContextFactory"));
}

TEST(AsioFactoryTest, ReportsWhatItNeeds) {
  int features = 0;
  Factory().Features([&](const BackendFeature& feature) {
    ++features;
    EXPECT_TRUE(feature.available) << feature.name;
    EXPECT_FALSE(feature.since.empty() || feature.without.empty()) << feature.name;
  });
  EXPECT_GT(features, 0);
}

}  // namespace
}  // namespace tenon::asio
