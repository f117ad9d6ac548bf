// The books of a pool: which slot is whose, who waits, and what is to be done next.

#ifndef TENON_POOL_ENGINE_ROSTER_H_
#define TENON_POOL_ENGINE_ROSTER_H_

#include <cstdint>
#include <source_location>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/time.h"
#include "tenon/pool/acquire_node.h"
#include "tenon/pool/engine/slot_table.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/pool_options.h"
#include "tenon/pool/pool_stats.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

// What a roster asks of the pool it belongs to. None of it may call back into the roster.
class RosterHost {
 public:
  // There is something to begin (Roster::NextToBegin), or next_due_ns() is sooner, or, closed, a
  // slot has become empty.
  virtual void SchedulePump() noexcept = 0;
  // A waiter has been answered: AcquireNode::Woken has to be called on its thread. At once only
  // where its timer is pending, so that it finishes later.
  virtual void Wake(AcquireNode& node) noexcept = 0;
  virtual int64_t Now() const noexcept = 0;
  // The same, at most a turn behind where that comes for less.
  virtual int64_t LeaseTime() const noexcept = 0;

 protected:
  ~RosterHost() = default;
};

// Decides everything that a pool decides, and does nothing: no code of the application, and no
// memory is taken or given back. What has to be done it leaves in a queue, for a pool to take from
// it when no lock is held (POOL-15). The same for a pool on one loop, which calls it directly, and
// for one that is shared, which calls it under a lock.
//
// Ownership: of nothing; slots, nodes and the host outlive it.
// Threads: one at a time.
class Roster {
 public:
  // REQUIRES: the options are valid.
  Roster(RosterHost& host, const PoolOptions& options, SlotTable& slots);
  ~Roster();
  Roster(const Roster&) = delete;
  Roster& operator=(const Roster&) = delete;

  // Takes on the slots, and begins to fill them where the options say so.
  // REQUIRES: there are at least options.max of them; called once, before all else.
  void Start() noexcept;

  // ---- As PoolCore has them. ----
  Slot* TryAcquire(std::source_location site) noexcept;
  bool Acquire(AcquireNode& node) noexcept;
  bool Withdraw(AcquireNode& node, WithdrawReason reason, AcquireDiagnosis& why) noexcept;
  bool Take(AcquireNode& node) noexcept;
  void Return(Slot& slot) noexcept;
  void InvalidateAll() noexcept;
  // REQUIRES: min is at most max, and max is at least one and at most the number of slots.
  void Resize(uint32_t min, uint32_t max) noexcept;
  void Close() noexcept;
  PoolStats Stats() const noexcept;

  // ---- The tasks of the policy. ----

  // How many slots await that something begins.
  uint32_t pending() const { return pending_count_; }
  // The next of them, in the state that says which task is to begin; null for none.
  Slot* NextToBegin() noexcept;
  // That task has ended. Leaves in `status` what is to be freed without the lock.
  void TaskEnded(Slot& slot, absl::Status& status) noexcept;

  // ---- Time. ----

  // When Maintain has something to do; kForeverNs for never.
  int64_t next_due_ns() const { return next_due_ns_; }
  // Ends what has been there for too long, validates what was idle for long, tries again to create.
  void Maintain() noexcept;

  bool closed() const { return closed_; }
  // Nodes that were queued and have not taken their answer: each calls the pool once more.
  uint32_t acquirers() const { return acquirers_; }
  // Whether there is nothing that would miss the pool.
  bool unused() const { return used() == 0 && acquirers_ == 0; }
  bool drained() const { return closed_ && unused(); }

  // Calls `visit` with every slot that is not empty.
  void VisitUsed(absl::FunctionRef<void(const Slot&)> visit) const;

 private:
  void Move(Slot& slot, SlotEvent event);
  // Moves it to a state in which a task has to begin.
  void Pend(Slot& slot, SlotEvent event);
  void Discard(Slot& slot) { Pend(slot, SlotEvent::kDestroy); }

  // Gives a resource that is ready to whom it belongs next: the first waiter, or the idle.
  void Place(Slot& slot, bool checked);
  void PlaceReset(Slot& slot);
  void Park(Slot& slot);
  void Lend(Slot& slot, std::source_location site);
  void Created(Slot& slot);
  void CreationFailed(Slot& slot, absl::Status& status);
  AcquireNode& PopWaiter();
  // Queues a waiter anew, before those that came after it.
  void Requeue(AcquireNode& node);
  void Wake(AcquireNode& node);
  // Takes back what was assigned and has not been taken.
  void Revoke(Slot& slot);

  // An idle slot that may be leased, out of the list, or null.
  Slot* PopIdle();
  // Sees to it that enough is on its way for those who wait, and for the minimum.
  void Replenish();
  bool Reserve();
  // Validates something idle for somebody who waits.
  bool CheckIdle();
  // Gives up something idle whose lifetime is over, for somebody who waits for its permit.
  bool MakeRoom();

  // What is begun for somebody who waits, or for the fill, is expected until it ends; then another
  // may be begun. Whoever gives up takes one out of the reckoning: what does not end costs one
  // waiter its deadline, and is in nobody's way after that. What is reset, or validated for other
  // reasons, is welcome when it comes, but never expected.
  void Expect(Slot& slot);
  void Unexpect(Slot& slot);
  uint32_t& ExpectedLike(const Slot& slot) {
    return slot.state == SlotState::kValidating ? checking_ : making_;
  }

  bool Stale(const Slot& slot) const { return slot.broken || slot.generation != generation_; }
  bool LifetimeOver(const Slot& slot) const {
    return slot.expires_at_ns != kForeverNs && slot.expires_at_ns <= host_.Now();
  }
  // Permits that are not on their way back.
  uint32_t kept() const { return used() - counts_[SlotState::kDestroying]; }
  uint32_t used() const { return slots_.size() - counts_[SlotState::kEmpty]; }
  bool HasTime() const;
  void MaintainIdle(Slot& slot, int64_t now_ns, bool* replace);
  void NoteDue(int64_t due_ns);
  int64_t RandomBelow(int64_t bound);
  void Diagnose(AcquireDiagnosis& why) const;

  RosterHost& host_;
  PoolOptions options_;
  SlotTable& slots_;
  IntrusiveList<Slot> empty_;
  IntrusiveList<Slot> idle_;
  IntrusiveList<Slot> pending_;
  uint32_t pending_count_ = 0;
  IntrusiveList<AcquireNode> waiters_;  // by ticket
  uint32_t acquirers_ = 0;
  // How many that are being validated, and made, are expected; each at most as many as there are.
  uint32_t checking_ = 0;
  uint32_t making_ = 0;
  uint64_t last_ticket_ = 0;
  SlotCounts counts_;
  PoolStats stats_;  // but for what counts_ says
  uint64_t generation_ = 0;
  uint64_t random_;
  int64_t next_due_ns_ = kForeverNs;
  // Something idle would have ended, were there more than the minimum.
  bool overdue_ = false;
  bool closed_ = false;
  const absl::Status closed_error_;  // made before there is no memory for it

  // Of failures only those count that were tried after the one before: a hundred creations that
  // fail together are one.
  uint64_t failures_in_a_row_ = 0;
  // The only one that is tried while they fail, if one is.
  const Slot* retry_ = nullptr;
  absl::Status last_error_;
  int64_t retry_at_ns_ = 0;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_ENGINE_ROSTER_H_
