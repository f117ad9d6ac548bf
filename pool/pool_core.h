// A pool without the type of its resources: what the implementations implement.

#ifndef TENON_POOL_POOL_CORE_H_
#define TENON_POOL_POOL_CORE_H_

#include <cstdint>
#include <source_location>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"
#include "tenon/pool/policy.h"
#include "tenon/pool/pool_options.h"
#include "tenon/pool/pool_stats.h"

namespace tenon::pool {

class AcquireNode;
class DrainNode;
struct DrainReport;
struct Slot;

// Why an acquirer stops waiting.
enum class WithdrawReason : uint8_t { kCancelled, kDeadline };

// A pool, as AcquireNode, Lease, DrainNode and Pool<T> use it. Applications use those.
//
// Ownership: the caller's; the loop, the policy and the allocator outlive it.
// Threads: its home loop's, which runs the policy's tasks and on which all calls are made, but for
//   those that the implementation's traits allow from elsewhere.
// Reentrancy: every call may be made from callbacks and tasks, and from tasks of the policy. None
//   runs a task or any other code of the application inline (POOL-15).
// Shutdown: Drain; destroying a pool that has resources, waiters or tasks is a CHECK.
class PoolCore {
 public:
  virtual ~PoolCore() = default;

  // ---- For AcquireNode and Lease. ----

  // Leases what is idle, where it need not be validated and nobody waits; else null, with no
  // effect. `of_task` is the loop of the task that asks.
  virtual Slot* TryAcquire(const Loop& of_task, std::source_location site) noexcept = 0;

  // Answers the node at once, and returns true; or queues it and returns false: the node is
  // answered later and then woken (AcquireNode::Woken), unless it is withdrawn before that.
  virtual bool Acquire(AcquireNode& node) noexcept = 0;

  // Takes a node out of the queue; false, with no effect, when it has been answered: then its wake
  // has come or will come (POOL-4). Fills `why` for kDeadline.
  virtual bool Withdraw(AcquireNode& node, WithdrawReason reason,
                        AcquireDiagnosis& why) noexcept = 0;

  // Called by a node that was queued and is woken or withdrawn; the pool is there until then. What
  // it was given becomes its lease. False where
  // that has been invalidated meanwhile (POOL-11): the node is in the queue again, in its old
  // place, and is woken another time.
  virtual bool Take(AcquireNode& node) noexcept = 0;

  // Ends a lease. O(1), allocates nothing, performs no I/O (POOL-20) but, on a shared pool, the
  // write that wakes another loop.
  virtual void Return(Slot& slot) noexcept = 0;

  // ---- For Pool and DrainNode. ----

  virtual void InvalidateAll() noexcept = 0;
  virtual absl::Status Resize(uint32_t min, uint32_t max) noexcept = 0;
  virtual void Close() noexcept = 0;
  virtual PoolStats Stats() const noexcept = 0;

  // Closes, and calls DrainNode::Drained when nothing is left.
  virtual void BeginDrain(DrainNode& node) noexcept = 0;
  // Gives up on that: asks all tasks to stop and fills in what is left. False, with no effect, when
  // nothing is: then Drained is going to be called.
  virtual bool AbandonDrain(DrainNode& node, DrainReport& report) noexcept = 0;

  Loop& loop() const { return loop_; }
  Allocator& allocator() const { return allocator_; }
  int64_t acquire_timeout_ns() const { return acquire_timeout_ns_; }

 protected:
  PoolCore(Loop& loop, Allocator& allocator, int64_t acquire_timeout_ns)
      : loop_(loop), allocator_(allocator), acquire_timeout_ns_(acquire_timeout_ns) {}

 private:
  Loop& loop_;
  Allocator& allocator_;
  const int64_t acquire_timeout_ns_;
};

// What an implementation declares about itself. Declared, queried, never guessed.
struct PoolTraits {
  // Tasks of other loops may acquire, and any thread may return a lease.
  bool any_thread = false;
  // Waiters are served in the order in which they came (POOL-13).
  bool fifo = false;
};

// Makes pools of one kind. Stateless; one constant object for each kind, with static lifetime.
//
// Threads: any.
class PoolFactory {
 public:
  // The name by which it is chosen, such as "local". Lower case, digits, underscores.
  virtual absl::string_view name() const noexcept = 0;
  virtual PoolTraits traits() const noexcept = 0;

  // Makes a pool whose home is `loop`. InvalidArgument for options out of range;
  // ResourceExhausted, without a message, where there is no memory. Nothing is left behind.
  // REQUIRES: the loop's thread.
  virtual absl::StatusOr<Owned<PoolCore>> Create(Loop& loop, ResourcePolicy& policy,
                                                 const PoolOptions& options,
                                                 Allocator& allocator) const noexcept = 0;

 protected:
  ~PoolFactory() = default;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_POOL_CORE_H_
