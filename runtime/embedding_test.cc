// A Tenon loop inside a foreign loop, here poll(2) by hand, on every linked backend.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/core/loop/loop.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/runtime/tcp_socket.h"

namespace tenon::runtime {
namespace {

class EmbeddingTest : public testing::TestWithParam<const LoopBackendFactory*> {
 protected:
  void SetUp() override {
    absl::StatusOr<Owned<Loop>> loop = OpenLoop({.backend = GetParam()->name()});
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    const absl::StatusOr<int> poll_fd = loop_->PollFd();
    ASSERT_TRUE(poll_fd.ok()) << poll_fd.status();
    poll_fd_ = *poll_fd;
  }

  bool IsReadable(int timeout_ms) {
    pollfd entry = {.fd = poll_fd_, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, timeout_ms) == 1;
  }

  // The foreign loop: polls whenever the descriptor says so, until `*count` is reached.
  void DriveUntil(const int& count, int goal) {
    while (count < goal) {
      ASSERT_TRUE(IsReadable(10'000)) << "the descriptor stays silent at " << count;
      loop_->Poll();
    }
  }

  Owned<Loop> loop_;
  int poll_fd_ = -1;
};

void Count(Operation& operation) { ++*static_cast<int*>(operation.context()); }

TEST_P(EmbeddingTest, IsSilentWhenThereIsNothingToDo) {
  loop_->Poll();
  EXPECT_FALSE(IsReadable(0));
  EXPECT_EQ(*loop_->PollFd(), poll_fd_) << "a second call made another descriptor";
}

TEST_P(EmbeddingTest, OperationsSubmittedBetweenPollsAreNoticed) {
  int completions = 0;
  Operation nop(&Count, &completions);
  loop_->Poll();
  nop.PrepareNop();
  loop_->Submit(nop);
  DriveUntil(completions, 1);
  loop_->Poll();
  EXPECT_FALSE(IsReadable(0));
}

TEST_P(EmbeddingTest, TimersAreNoticedAndNotEarly) {
  int completions = 0;
  Operation timer(&Count, &completions);
  const int64_t begin_ns = loop_->Now();
  timer.PrepareTimer(20 * kMillisecondNs);
  loop_->Submit(timer);
  loop_->Poll();
  EXPECT_FALSE(IsReadable(0));
  DriveUntil(completions, 1);
  EXPECT_GE(loop_->Now() - begin_ns, 20 * kMillisecondNs);
}

TEST_P(EmbeddingTest, InputAndPostsOfOtherThreadsAreNoticed) {
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd peer(sockets[1]);
  const absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(sockets[0]));
  ASSERT_TRUE(handle.ok()) << handle.status();
  int received = 0;
  char buffer[8];
  Operation recv(&Count, &received);
  recv.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
  loop_->Submit(recv);
  loop_->Poll();
  ASSERT_EQ(recv.state(), OperationState::kInFlight);
  EXPECT_FALSE(IsReadable(0));
  ASSERT_EQ(::write(peer.get(), "x", 1), 1);
  DriveUntil(received, 1);

  int ran = 0;
  PostedTask task([](PostedTask& posted) { ++*static_cast<int*>(posted.context()); }, &ran);
  loop_->Poll();
  std::thread poster([&] { loop_->Post(task); });
  DriveUntil(ran, 1);
  poster.join();

  int worked = 0;
  Operation work(&Count, &worked);
  work.PrepareWork([](void*) { return 7; }, nullptr);
  loop_->Submit(work);
  DriveUntil(worked, 1);
  EXPECT_EQ(work.result(), 7);
}

TEST_P(EmbeddingTest, EveryConnectionOfABunchIsNoticed) {
  if (!loop_->capabilities().multishot) return;
  constexpr int kConnections = 3;
  const absl::StatusOr<SocketAddress> any = SocketAddress::Parse("127.0.0.1", 0);
  absl::StatusOr<UniqueFd> socket = ListenTcp(any.value());
  ASSERT_TRUE(socket.ok()) << socket.status();
  const SocketAddress address = SocketAddress::OfSocket(socket->get()).value();
  const absl::StatusOr<Handle> listener = loop_->Adopt(*std::move(socket));
  ASSERT_TRUE(listener.ok()) << listener.status();
  int accepted = 0;
  Operation accept(
      [](Operation& operation) {
        if (operation.result() < 0) return;
        UniqueFd(operation.result()).Reset();
        ++*static_cast<int*>(operation.context());
      },
      &accepted);
  accept.PrepareAcceptMultishot(*listener);
  loop_->Submit(accept);
  loop_->Poll();
  std::vector<UniqueFd> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(OpenTcp(address).value());
    ::connect(clients.back().get(), address.data(), address.size());
  }
  DriveUntil(accepted, kConnections);
  loop_.reset();
}

// Of a backend without a descriptor to watch: says so, and goes on as before.
class NoEmbeddingTest : public testing::TestWithParam<const LoopBackendFactory*> {};

TEST_P(NoEmbeddingTest, IsUnimplementedAndLeavesALoopThatRuns) {
  absl::StatusOr<Owned<Loop>> loop = OpenLoop({.backend = GetParam()->name()});
  ASSERT_TRUE(loop.ok()) << loop.status();
  EXPECT_EQ((*loop)->PollFd().status().code(), absl::StatusCode::kUnimplemented);
  int completions = 0;
  Operation timer(&Count, &completions);
  timer.PrepareTimer(kMillisecondNs);
  (*loop)->Submit(timer);
  (*loop)->Run();
  EXPECT_EQ(completions, 1);
}

// The linked backends that run here and have, or have not, a descriptor to watch. The asio backend
// with a context of its own has none.
std::vector<const LoopBackendFactory*> UsableBackends(bool with_descriptor) {
  std::vector<const LoopBackendFactory*> usable;
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    if (!backend->Probe().ok()) continue;
    const bool has_descriptor = backend->name() != "asio";
    if (has_descriptor == with_descriptor) usable.push_back(backend);
  }
  return usable;
}

std::string NameOf(const testing::TestParamInfo<const LoopBackendFactory*>& info) {
  return std::string(info.param->name());
}

INSTANTIATE_TEST_SUITE_P(Usable, EmbeddingTest, testing::ValuesIn(UsableBackends(true)), &NameOf);
INSTANTIATE_TEST_SUITE_P(Usable, NoEmbeddingTest, testing::ValuesIn(UsableBackends(false)),
                         &NameOf);
// Which of the two there is depends on the set that is linked.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EmbeddingTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NoEmbeddingTest);

}  // namespace
}  // namespace tenon::runtime
