// The nth `operator new` of the process fails, for every n: what Asio allocates for itself is asked
// for that way, and its exception must end as a status.

#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "boost/asio/io_context.hpp"
#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/context_fixture.h"
#include "tenon/backends/asio/loop_driver.h"
#include "tenon/core/loop/loop.h"

namespace {

// Counts on this thread only: the test framework may use others.
thread_local uint64_t fail_at = 0;  // 0: nothing fails
thread_local uint64_t requests = 0;
thread_local int64_t live = 0;

void* AllocateOrNull(size_t size, size_t alignment) {
  if (fail_at != 0 && ++requests == fail_at) return nullptr;
  void* block = nullptr;
  if (::posix_memalign(&block, alignment, size == 0 ? 1 : size) != 0) return nullptr;
  ++live;
  return block;
}

void* AllocateOrThrow(size_t size, size_t alignment) {
  void* const block = AllocateOrNull(size, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void Free(void* block) {
  if (block == nullptr) return;
  --live;
  std::free(block);
}

constexpr size_t kUsual = alignof(std::max_align_t);

}  // namespace

void* operator new(size_t size) { return AllocateOrThrow(size, kUsual); }
void* operator new[](size_t size) { return AllocateOrThrow(size, kUsual); }
void* operator new(size_t size, std::align_val_t alignment) {
  return AllocateOrThrow(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return AllocateOrThrow(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size, kUsual);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size, kUsual);
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { Free(block); }
void operator delete[](void* block) noexcept { Free(block); }
void operator delete(void* block, size_t) noexcept { Free(block); }
void operator delete[](void* block, size_t) noexcept { Free(block); }
void operator delete(void* block, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { Free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { Free(block); }

namespace tenon::asio {
namespace {

constexpr LoopOptions kSmall = {.max_handles = 16, .queue_depth = 16};

// Sends a request on one of two adopted sockets and sends it back on the other, with everything
// that waits parked before it becomes ready.
absl::Status Exchange(Loop& loop) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::InternalError("socketpair");
  }
  UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  const absl::StatusOr<Handle> first = loop.Adopt(std::move(ours));
  if (!first.ok()) return first.status();
  const absl::StatusOr<Handle> second = loop.Adopt(std::move(theirs));
  if (!second.ok()) return second.status();
  char request[8] = {};
  char answer[8] = {};
  CountedOperation receive, poll, send, answered;
  receive.PrepareRecv(*second, absl::MakeSpan(request), 0);
  answered.PrepareRecv(*first, absl::MakeSpan(answer), 0);
  poll.PreparePoll(*first, POLLIN);
  for (Operation* operation : {&receive, &answered, &poll}) loop.Submit(*operation);
  loop.Poll();
  send.PrepareSend(*first, "ping", 0);
  loop.Submit(send);
  while (receive.completions == 0 || send.completions == 0) loop.RunOnce();
  send.PrepareSend(*second, absl::MakeConstSpan(request, 4), 0);
  loop.Submit(send);
  loop.Run();
  const bool whole = answered.last_result == 4 && poll.last_result == POLLIN;
  return whole ? absl::OkStatus() : absl::InternalError("the exchange went wrong");
}

// Calls `attempt` with the nth allocation failing, until no attempt meets a failure.
void SweepNew(absl::FunctionRef<absl::Status()> attempt) {
  ASSERT_TRUE(attempt().ok()) << "nothing failed, and the attempt did";
  constexpr uint64_t kLimit = 1'000;
  for (uint64_t n = 1; n <= kLimit; ++n) {
    const int64_t live_before = live;
    requests = 0;
    fail_at = n;
    absl::Status status = attempt();
    fail_at = 0;
    const bool met = requests >= n;
    const absl::StatusCode code = status.code();
    const bool has_message = !status.message().empty();
    status = absl::OkStatus();
    ASSERT_EQ(live, live_before) << "left behind after allocation " << n << " failed";
    if (!met) {
      EXPECT_EQ(code, absl::StatusCode::kOk);
      EXPECT_GT(n, 1u) << "nothing was allocated";
      return;
    }
    ASSERT_TRUE(code == absl::StatusCode::kOk || code == absl::StatusCode::kResourceExhausted)
        << "allocation " << n << " failed: " << absl::StatusCodeToString(code);
    ASSERT_FALSE(has_message) << "a message was allocated for the failure of allocation " << n;
  }
  ADD_FAILURE() << "still fails after " << kLimit << " allocations";
}

TEST(AllocationTest, ALoopWithAContextOfItsOwn) {
  alloc::SystemAllocator allocator;
  SweepNew([&]() -> absl::Status {
    if (absl::Status status = Factory().Probe(); !status.ok()) return status;
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(Factory(), kSmall, allocator);
    if (!loop.ok()) return loop.status();
    absl::Status status = Exchange(**loop);
    if (status.ok()) status = (*loop)->Drain();
    return status;
  });
}

TEST(AllocationTest, ALoopOverAnApplicationsContext) {
  alloc::SystemAllocator allocator;
  SweepNew([&]() -> absl::Status {
    // Making the context is the application's affair.
    const uint64_t armed = std::exchange(fail_at, 0);
    boost::asio::io_context context(1);
    fail_at = armed;
    const ContextFactory factory(context);
    if (absl::Status status = factory.Probe(); !status.ok()) return status;
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, kSmall, allocator);
    if (!loop.ok()) return loop.status();
    const absl::StatusOr<Owned<LoopDriver>> driver = LoopDriver::Create(context, **loop);
    if (!driver.ok()) return driver.status();
    return Exchange(**loop);
  });
}

TEST(AllocationTest, NothingIsAllocatedOnceDescriptorsAreAdopted) {
  alloc::SystemAllocator allocator;
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(Factory(), kSmall, allocator);
  ASSERT_TRUE(loop.ok()) << loop.status();
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd peer(sockets[1]);
  const absl::StatusOr<Handle> handle = (*loop)->Adopt(UniqueFd(sockets[0]));
  ASSERT_TRUE(handle.ok()) << handle.status();
  char byte = 0;
  CountedOperation receive, timer;
  constexpr int kRounds = 100;
  requests = 0;
  fail_at = UINT64_MAX;  // counts, and fails nothing
  for (int round = 0; round < kRounds; ++round) {
    receive.PrepareRecv(*handle, absl::MakeSpan(&byte, 1), 0);
    timer.PrepareTimer(1);
    (*loop)->Submit(receive);
    (*loop)->Submit(timer);
    (*loop)->RunOnce();
    if (::send(peer.get(), "x", 1, 0) != 1) break;
    (*loop)->Run();
  }
  (*loop)->Close(*handle);
  (*loop)->Run();
  fail_at = 0;
  EXPECT_EQ(requests, 0u);
  EXPECT_EQ(receive.completions, kRounds);
}

}  // namespace
}  // namespace tenon::asio
