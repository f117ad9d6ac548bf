// A pool of TCP connections to a server that is slow to accept, half of whose acquirers give up at
// random: the process has the same descriptors before and after. Its policy is that of
// docs/pools.md.

#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "gtest/gtest.h"
#include "tenon/backends/epoll/epoll.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/transfer.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

constexpr absl::string_view kGreeting = "HELLO\n";

struct Session {
  Handle socket;
};

class SessionPolicy final : public PoolPolicy<Session> {
 public:
  SessionPolicy(const sockaddr* address, socklen_t length) : address_(address), length_(length) {}

  Task<> Create(CreateScope& scope, Session& session) override {
    Loop& loop = scope.loop();
    absl::Status status = scope.Defer(CloseSocket(scope, session));
    if (!status.ok()) co_return status;
    absl::StatusOr<Handle> socket = OpenSocket(loop);
    if (!socket.ok()) co_return socket.status();
    session.socket = *socket;
    status = co_await Connect(loop, session.socket, address_, length_);
    if (!status.ok()) co_return status;
    char greeting[kGreeting.size()];
    co_return co_await RecvExactly(loop, session.socket, absl::MakeSpan(greeting));
  }
  Task<> Destroy(PoolStage& stage, Session& session) override {
    return CloseSocket(stage, session);
  }

 private:
  // A stale handle, where it came to none, is nothing to close.
  static Task<> CloseSocket(PoolStage& stage, Session& session) {
    (co_await Close(stage.loop(), session.socket)).IgnoreError();
    co_return absl::OkStatus();
  }
  static absl::StatusOr<Handle> OpenSocket(Loop& loop) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return absl::ResourceExhaustedError("no socket");
    return loop.Adopt(std::move(fd));
  }

  const sockaddr* const address_;
  const socklen_t length_;
};

Task<> Ask(Loop& loop, Pool<Session>& pool) {
  absl::StatusOr<Lease<Session>> session = co_await pool.Acquire();
  if (!session.ok()) co_return session.status();
  co_return co_await SendAll(loop, (*session)->socket, "how are you?\n");
}

Task<> End(Loop&, Pool<Session>& pool) { co_return (co_await pool.Drain()).status; }

// Greets, then reads until the end.
Task<> Greet(Loop& loop, OwnedHandle connection) {
  absl::Status status = co_await SendAll(loop, connection.get(), kGreeting);
  char buffer[64];
  while (status.ok()) {
    absl::StatusOr<size_t> count = co_await Recv(loop, connection.get(), absl::MakeSpan(buffer));
    status = count.status();
    if (count.ok() && *count == 0) break;
  }
  co_return absl::OkStatus();
}

Task<> Serve(Loop& loop, Handle listener) {
  Scope scope(co_await CurrentContext(), ScopeOnError::kContinue);
  absl::Status status;
  while (status.ok()) {
    status = co_await Sleep(loop, kMillisecondNs);
    if (!status.ok()) break;
    absl::StatusOr<UniqueFd> fd = co_await Accept(loop, listener);
    status = fd.status();
    if (!fd.ok()) break;
    absl::StatusOr<Handle> handle = loop.Adopt(*std::move(fd));
    status = handle.ok() ? scope.Spawn(Greet(loop, OwnedHandle(loop, *handle))) : handle.status();
  }
  scope.Cancel();
  (co_await scope.Join()).IgnoreError();
  co_return status;
}

std::set<std::string> OpenDescriptors() {
  std::set<std::string> numbers;
  DIR* const directory = ::opendir("/proc/self/fd");
  PCHECK(directory != nullptr);
  const std::string own = std::to_string(::dirfd(directory));
  while (const dirent* const entry = ::readdir(directory)) {
    if (entry->d_name != own) numbers.insert(entry->d_name);
  }
  ::closedir(directory);
  return numbers;
}

class SessionTest : public testing::TestWithParam<const PoolFactory*> {
 protected:
  SessionTest() {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(epoll::Factory(), {}, system_);
    CHECK_OK(loop.status());
    loop_ = *std::move(loop);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    PCHECK(::bind(fd.get(), address(), sizeof(address_)) == 0);
    PCHECK(::listen(fd.get(), 2) == 0);
    socklen_t length = sizeof(address_);
    PCHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address_), &length) == 0);
    absl::StatusOr<Handle> listener = loop_->Adopt(std::move(fd));
    CHECK_OK(listener.status());
    listener_ = *listener;
  }

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }

  alloc::SystemAllocator system_;
  Owned<Loop> loop_;
  sockaddr_in address_ = {};
  Handle listener_;
};

INSTANTIATE_TEST_SUITE_P(Pools, SessionTest, EveryPool(), FactoryName);

TEST_P(SessionTest, HalfOfTheAcquirersGiveUpAndNoDescriptorIsLeft) {
  const std::set<std::string> before = OpenDescriptors();
  std::mt19937 random(1);
  TaskRoot<> server(*loop_, Serve(*loop_, listener_));
  server.Start();
  SessionPolicy policy(address(), sizeof(address_));
  absl::StatusOr<Pool<Session>> pool =
      Pool<Session>::Create(*GetParam(), *loop_, policy, {.max = 8}, system_);
  ASSERT_TRUE(pool.ok());
  int served = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<TaskRoot<>>> askers;
    for (int i = 0; i < 32; ++i) {
      askers.push_back(std::make_unique<TaskRoot<>>(*loop_, Ask(*loop_, *pool)));
      askers.back()->Start();
    }
    for (size_t i = 0; i < askers.size(); i += 2) {
      for (uint32_t turns = random() % 3; turns > 0; --turns) loop_->Poll();
      askers[i]->RequestStop();
    }
    for (const auto& asker : askers) {
      while (!asker->done()) loop_->RunOnce();
      const absl::Status status = asker->TakeResult();
      EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
      if (status.ok()) ++served;
    }
    pool->InvalidateAll();
  }
  EXPECT_GE(served, 5 * 16);
  EXPECT_EQ(RunToCompletion(*loop_, End(*loop_, *pool)), absl::OkStatus());
  EXPECT_EQ(pool->Stats().created, pool->Stats().destroyed);
  EXPECT_GT(pool->Stats().created, 5u);
  server.RequestStop();
  while (!server.done()) loop_->RunOnce();
  EXPECT_TRUE(absl::IsCancelled(server.TakeResult()));
  // What was begun to be closed is closed within the turn.
  for (int turn = 0; turn < 3; ++turn) loop_->Poll();
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace tenon::pool
