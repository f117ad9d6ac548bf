// Pools of resources that are expensive to make, such as connections.

#ifndef TENON_POOL_POOL_H_
#define TENON_POOL_POOL_H_

#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"
#include "tenon/pool/acquire_node.h"
#include "tenon/pool/drain.h"
#include "tenon/pool/lease.h"
#include "tenon/pool/policy.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/pool_options.h"
#include "tenon/pool/pool_stats.h"

namespace tenon::pool {

// Awaits a resource. Made by Pool::Acquire.
template <typename T>
class [[nodiscard]] AcquireAwaiter {
 public:
  AcquireAwaiter(PoolCore& pool, int64_t deadline_ns, std::source_location site)
      : pool_(pool), deadline_ns_(deadline_ns), site_(site) {}
  AcquireAwaiter(const AcquireAwaiter&) = delete;
  AcquireAwaiter& operator=(const AcquireAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    TaskPromise& task = awaiting.promise();
    if (!task.context().stop_token().stop_requested()) {
      slot_ = pool_.TryAcquire(task.context().loop(), site_);
    }
    if (slot_ != nullptr) return false;
    return node_.emplace(pool_, deadline_ns_, site_).Begin(task);
  }
  absl::StatusOr<Lease<T>> await_resume() const noexcept {
    Slot* const slot = node_.has_value() ? node_->slot() : slot_;
    if (slot == nullptr) return node_->status();
    return Lease<T>(*slot);
  }

 private:
  PoolCore& pool_;
  const int64_t deadline_ns_;
  const std::source_location site_;
  Slot* slot_ = nullptr;
  // Made when there is something to wait for.
  std::optional<AcquireNode> node_;
};

// Keeps resources of type T, lends them out one holder at a time, and makes and ends them by a
// policy. Every resource that a policy has created is destroyed by it, whatever fails, is slow or
// is cancelled meanwhile, and there are never more of them than the maximum (POOL-10, POOL-21).
//
// Ownership: owns its resources. The loop, the policy and the allocator outlive it, and it outlives
//   its leases and waiters. All memory but the frames of the policy's tasks is taken by Create.
// Threads: its home loop's; see PoolTraits for what an implementation allows beyond.
// Reentrancy: everything may be called from callbacks and tasks, also from the policy's.
// Shutdown: Drain. A pool may be destroyed when Drain has ended with OK, or while it has neither
//   resources nor waiters; anything else is a CHECK.
//
//   absl::StatusOr<Pool<Session>> pool =
//       Pool<Session>::Create(local::Factory(), loop, policy, {.max = 16}, allocator);
//   …
//   Task<> Ask(Loop& loop, Pool<Session>& pool) {
//     absl::StatusOr<Lease<Session>> session = co_await pool.Acquire();
//     if (!session.ok()) co_return session.status();
//     co_return co_await SendAll(loop, (*session)->socket, "HELLO\n");
//   }
template <typename T>
class Pool {
 public:
  // InvalidArgument for options out of range; ResourceExhausted, without a message, where there is
  // no memory. Creates no resource yet: Fill::kEager begins when the loop turns.
  static absl::StatusOr<Pool> Create(const PoolFactory& factory, Loop& loop, PoolPolicy<T>& policy,
                                     const PoolOptions& options, Allocator& allocator) noexcept {
    absl::StatusOr<Owned<PoolCore>> core = factory.Create(loop, policy, options, allocator);
    if (!core.ok()) return core.status();
    return Pool(*std::move(core));
  }

  // `co_await pool.Acquire()` results in a lease, or in
  //   DeadlineExceeded: PoolOptions::acquire_timeout_ns passed; says why (POOL-8, POOL-19), where
  //     there is memory for it;
  //   Cancelled, without a message: the task was asked to stop, before there was a lease (POOL-4),
  //     or the loop was drained;
  //   FailedPrecondition: the pool is closed (POOL-9);
  //   ResourceExhausted, without a message: creating failed for want of memory until the deadline;
  //   the error of a creation: see PoolOptions::create_attempts.
  // An idle resource is leased without a turn of the loop. Waiters are as many as there are tasks,
  // whose memory they use, and are served in order (POOL-13); whoever leaves the queue leaves
  // nothing behind, and what was on its way goes to the next (POOL-1, POOL-5). Allocates nothing.
  AcquireAwaiter<T> Acquire(std::source_location site = std::source_location::current()) {
    return {*core_, AcquireNode::kPoolTimeout, site};
  }
  // The same until the loop's clock reaches `deadline_ns`; kForeverNs never comes.
  AcquireAwaiter<T> AcquireUntil(int64_t deadline_ns,
                                 std::source_location site = std::source_location::current()) {
    return {*core_, deadline_ns, site};
  }

  // From now on no resource is leased that exists already or whose creation has begun: what is idle
  // is destroyed, what is leased is when it comes back (POOL-11, POOL-12). Creations are not asked
  // to stop; others begin beside them where there are permits.
  void InvalidateAll() noexcept { core_->InvalidateAll(); }

  // Changes PoolOptions::min and max. What is too much is destroyed when it is idle or comes back.
  // InvalidArgument beyond the capacity.
  absl::Status Resize(uint32_t min, uint32_t max) noexcept { return core_->Resize(min, max); }

  // Refuses every waiter and all that acquire from now on; destroys what is idle, and what is
  // leased when it comes back; asks creations to stop (POOL-9). Harmless twice.
  void Close() noexcept { core_->Close(); }

  // Closes, and `co_await pool.Drain(deadline_ns)` waits until nothing is left, or until the loop's
  // clock reaches the deadline: then the policy's remaining tasks are asked to stop, and the
  // report says what is left and where it was leased (POOL-18). The pool can be drained again.
  // Acquirers are waited for as well, until they have resumed. Not cut short by a stop of the task.
  // Where the loop is drained meanwhile, which ends the policy's tasks, it waits for the holders
  // without a deadline.
  DrainAwaiter Drain(int64_t deadline_ns = kForeverNs) { return {*core_, deadline_ns}; }

  PoolStats Stats() const noexcept { return core_->Stats(); }

 private:
  explicit Pool(Owned<PoolCore> core) : core_(std::move(core)) {}

  Owned<PoolCore> core_;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_POOL_H_
