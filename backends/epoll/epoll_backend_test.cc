// What is epoll's own: the economy of its system calls, seen as edges that are used well. The
// behaviour that all backends share is tested in //conformance.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/epoll/epoll.h"
#include "tenon/core/loop/loop.h"

namespace tenon {
namespace {

struct Recorded {
  int completions = 0;
  int32_t result = 0;
};

void Record(Operation& operation) {
  auto& recorded = *static_cast<Recorded*>(operation.context());
  ++recorded.completions;
  recorded.result = operation.result();
}

class EpollBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(epoll::Factory(), {}, allocator_);
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    int sockets[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    peer_ = UniqueFd(sockets[1]);
    absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(sockets[0]));
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *handle;
  }

  void RunUntilCompleted(const Recorded& recorded, int completions) {
    const int64_t deadline_ns = loop_->Now() + 10 * kSecondNs;
    while (recorded.completions < completions && loop_->Now() < deadline_ns) {
      loop_->RunOnce(deadline_ns);
    }
    ASSERT_EQ(recorded.completions, completions);
  }

  alloc::SystemAllocator allocator_;
  Owned<Loop> loop_;
  UniqueFd peer_;
  Handle handle_;
};

TEST_F(EpollBackendTest, TheEndBehindAShortReadIsNotMissed) {
  // Data and the end arrive together: the short count must not be taken for "no more for now".
  ASSERT_EQ(::write(peer_.get(), "abc", 3), 3);
  peer_.Reset();
  char buffer[16];
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecv(handle_, absl::MakeSpan(buffer), 0);
  loop_->Submit(recv);
  RunUntilCompleted(recorded, 1);
  EXPECT_EQ(recorded.result, 3);
  recv.PrepareRecv(handle_, absl::MakeSpan(buffer), 0);
  loop_->Submit(recv);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, 0);
}

TEST_F(EpollBackendTest, AFullSocketIsWrittenOnWhenItEmpties) {
  const std::string block(1 << 20, 'x');
  Recorded recorded;
  Operation send(&Record, &recorded);
  send.PrepareSend(handle_, block, 0);
  loop_->Submit(send);
  RunUntilCompleted(recorded, 1);
  ASSERT_GT(recorded.result, 0);
  ASSERT_LT(recorded.result, 1 << 20) << "the socket was not filled";
  send.PrepareSend(handle_, block, 0);
  loop_->Submit(send);
  loop_->Poll();
  ASSERT_EQ(recorded.completions, 1) << "a send on a full socket completed";
  ASSERT_EQ(send.state(), OperationState::kInFlight);
  std::string sink(1 << 20, '\0');
  ASSERT_GT(::read(peer_.get(), sink.data(), sink.size()), 0);
  RunUntilCompleted(recorded, 2);
  EXPECT_GT(recorded.result, 0);
}

TEST_F(EpollBackendTest, PollSeesOutputAndInput) {
  Recorded recorded;
  Operation poll(&Record, &recorded);
  poll.PreparePoll(handle_, POLLOUT);
  loop_->Submit(poll);
  RunUntilCompleted(recorded, 1);
  EXPECT_EQ(recorded.result, POLLOUT);
  poll.PreparePoll(handle_, POLLIN);
  loop_->Submit(poll);
  loop_->Poll();
  ASSERT_EQ(recorded.completions, 1);
  ASSERT_EQ(::write(peer_.get(), "a", 1), 1);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, POLLIN);
}

}  // namespace
}  // namespace tenon
