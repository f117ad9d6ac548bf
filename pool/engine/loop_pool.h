// A pool with a home loop: the books of a Roster, the tasks of Stages, and a timer.

#ifndef TENON_POOL_ENGINE_LOOP_POOL_H_
#define TENON_POOL_ENGINE_LOOP_POOL_H_

#include <algorithm>
#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/posted_task.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"
#include "tenon/pool/acquire_node.h"
#include "tenon/pool/drain.h"
#include "tenon/pool/engine/roster.h"
#include "tenon/pool/engine/slot_table.h"
#include "tenon/pool/engine/stages.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/pool_options.h"

namespace tenon::pool {

// What a pool consists of, whether it is one loop's or shared. `Mode` says which:
//
//   Mode::Mutex         guards the books; has lock() and unlock()
//   Mode::Wake(node)    has AcquireNode::Woken called on the node's thread; the lock is held
//   Mode::LeaseTime(loop)  RosterHost::LeaseTime, the home loop being `loop`
//   Mode::CheckThread   CHECKs that the calling thread may; as does ...InDebug, where DCHECKs do
//   Mode::CheckLoop(home, of_task)  the same of the loop of a task that acquires
//
// Made on the home loop's thread. Leasing what is idle, and returning what nobody waits for, is
// checked in debug builds; whatever begins, ends or wakes something is always.
//
// Every look into the books is a Session. What is to be begun after it is begun by the pump, a task
// posted to the home loop, which holds no lock: code of the application runs from there, and from
// nowhere else (POOL-15).
//
// Ownership, Threads, Reentrancy, Shutdown: as PoolCore.
template <typename Mode>
class LoopPool final : public PoolCore, private RosterHost, private StageListener {
 public:
  static absl::StatusOr<Owned<PoolCore>> Create(Loop& loop, ResourcePolicy& policy,
                                                const PoolOptions& options,
                                                Allocator& allocator) noexcept {
    if (absl::Status status = options.Validate(); !status.ok()) return status;
    auto pool = MakeOwned<LoopPool>(allocator, loop, policy, options, allocator);
    if (pool == nullptr || !pool->Init(policy, std::max(options.max, options.capacity))) {
      return absl::Status(absl::StatusCode::kResourceExhausted, "");
    }
    return Owned<PoolCore>(std::move(pool));
  }

  LoopPool(Loop& loop, ResourcePolicy& policy, const PoolOptions& options, Allocator& allocator)
      : PoolCore(loop, allocator, options.acquire_timeout_ns),
        slots_(allocator),
        roster_(*this, options, slots_),
        stages_(loop, allocator, policy, *this),
        timer_([](Operation& op) { static_cast<LoopPool*>(op.context())->TimerDone(); }, this),
        pump_([](PostedTask& task) { static_cast<LoopPool*>(task.context())->Pump(); }, this) {}

  ~LoopPool() override {
    const Session session(*this);
    CHECK(roster_.unused() && !pump_posted_ && timer_.idle() && drainers_.empty())
        << "POOL-9: a pool is destroyed that has resources, leases, waiters or tasks; co_await "
           "Drain() until it results in OK";
  }

  Slot* TryAcquire(const Loop& of_task, std::source_location site) noexcept override {
    mode_.CheckThreadInDebug();
    mode_.CheckLoopInDebug(loop(), of_task);
    const Session session(*this);
    return roster_.TryAcquire(site);
  }
  bool Acquire(AcquireNode& node) noexcept override {
    mode_.CheckThread();
    mode_.CheckLoop(loop(), node.loop());
    const Session session(*this);
    return roster_.Acquire(node);
  }
  bool Withdraw(AcquireNode& node, WithdrawReason reason, AcquireDiagnosis& why) noexcept override {
    mode_.CheckThread();
    const Session session(*this);
    return roster_.Withdraw(node, reason, why);
  }
  bool Take(AcquireNode& node) noexcept override {
    mode_.CheckThread();
    const Session session(*this);
    return roster_.Take(node);
  }
  void Return(Slot& slot) noexcept override {
    mode_.CheckThreadInDebug();
    const Session session(*this);
    roster_.Return(slot);
  }
  void InvalidateAll() noexcept override {
    mode_.CheckThread();
    const Session session(*this);
    roster_.InvalidateAll();
  }
  absl::Status Resize(uint32_t min, uint32_t max) noexcept override {
    mode_.CheckThread();
    // Before the session, as what it says takes memory.
    const PoolOptions size = {.min = min, .max = max, .capacity = slots_.size()};
    if (absl::Status status = size.Validate(); !status.ok()) return status;
    const Session session(*this);
    roster_.Resize(min, max);
    return absl::OkStatus();
  }
  void Close() noexcept override {
    mode_.CheckThread();
    const Session session(*this);
    roster_.Close();
  }
  PoolStats Stats() const noexcept override {
    mode_.CheckThread();
    const Session session(*this);
    return roster_.Stats();
  }
  void BeginDrain(DrainNode& node) noexcept override;
  bool AbandonDrain(DrainNode& node, DrainReport& report) noexcept override;

 private:
  // Access to the books.
  class ABSL_SCOPED_LOCKABLE Session {
   public:
    explicit Session(const LoopPool& pool) ABSL_EXCLUSIVE_LOCK_FUNCTION(pool.mutex_) : pool_(pool) {
      pool.mutex_.lock();
    }
    ~Session() ABSL_UNLOCK_FUNCTION() { pool_.mutex_.unlock(); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

   private:
    const LoopPool& pool_;
  };

  bool Init(ResourcePolicy& policy, uint32_t capacity) {
    if (!slots_.Fill(capacity, policy.ResourceLayout(), *this)) return false;
    const Session session(*this);
    roster_.Start();
    return true;
  }

  // ---- For the roster, in a session. ----

  // Posted while the lock is held: the pool cannot be drained, and then destroyed, in between.
  void SchedulePump() noexcept override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    mode_.CheckThread();
    if (pump_posted_) return;
    pump_posted_ = true;
    loop().Post(pump_);
  }
  void Wake(AcquireNode& node) noexcept override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    mode_.CheckThread();
    Mode::Wake(node);
  }
  int64_t Now() const noexcept override { return loop().Now(); }
  int64_t LeaseTime() const noexcept override { return Mode::LeaseTime(loop()); }

  // ---- On the home loop. ----

  void StageEnded(Slot& slot, absl::Status status) noexcept override {
    const Session session(*this);
    // What is left of the status is freed when the lock is not held any more.
    roster_.TaskEnded(slot, status);
  }
  void Pump() noexcept;
  void BeginPending(uint32_t count) noexcept;
  void ArmTimer(int64_t due_ns) noexcept;
  void TimerDone() noexcept;

  [[no_unique_address]] Mode mode_;
  mutable typename Mode::Mutex mutex_;
  SlotTable slots_;
  Roster roster_ ABSL_GUARDED_BY(mutex_);
  bool pump_posted_ ABSL_GUARDED_BY(mutex_) = false;

  // The home loop's.
  Stages stages_;
  IntrusiveList<DrainNode> drainers_;
  // For Roster::Maintain.
  Operation timer_;
  int64_t timer_due_ns_ = kForeverNs;
  bool timer_cancelled_ = false;
  // No timer comes any more.
  bool loop_drained_ = false;
  PostedTask pump_;
};

template <typename Mode>
void LoopPool<Mode>::Pump() noexcept {
  uint32_t pending = 0;
  bool closed = false;
  {
    const Session session(*this);
    pump_posted_ = false;
    pending = roster_.pending();
    closed = roster_.closed();
  }
  if (closed) stages_.StopWork();
  BeginPending(pending);
  int64_t due_ns = kForeverNs;
  {
    const Session session(*this);
    // What these have brought about is for the next turn, so that others have theirs.
    if (roster_.pending() > 0) SchedulePump();
    if (!roster_.closed()) due_ns = roster_.next_due_ns();
  }
  ArmTimer(due_ns);
  IntrusiveList<DrainNode> drained;
  {
    const Session session(*this);
    if (roster_.drained() && !pump_posted_ && timer_.idle()) drained.Append(drainers_);
  }
  // Each of them may destroy the pool.
  while (DrainNode* const node = drained.PopFront()) node->Drained();
}

template <typename Mode>
void LoopPool<Mode>::BeginPending(uint32_t count) noexcept {
  for (; count > 0; --count) {
    Slot* slot = nullptr;
    {
      const Session session(*this);
      slot = roster_.NextToBegin();
    }
    if (slot == nullptr) return;
    stages_.Begin(*slot);
  }
}

template <typename Mode>
void LoopPool<Mode>::ArmTimer(int64_t due_ns) noexcept {
  if (!timer_.idle()) {
    // Earlier, or no more: what it is cancelled for is done when it has completed.
    if (due_ns < timer_due_ns_ || due_ns == kForeverNs) {
      timer_cancelled_ = true;
      loop().Cancel(timer_);
    }
    return;
  }
  if (due_ns == kForeverNs || loop_drained_) return;
  timer_due_ns_ = due_ns;
  timer_.PrepareTimerAt(due_ns);
  loop().Submit(timer_);
}

template <typename Mode>
void LoopPool<Mode>::TimerDone() noexcept {
  const bool cancelled = std::exchange(timer_cancelled_, false);
  const Session session(*this);
  if (timer_.result() != 0 && !cancelled) {
    // The loop is being drained: nothing can be waited for any more, and nobody could be served.
    loop_drained_ = true;
    roster_.Close();
  } else if (!roster_.closed() && loop().Now() >= roster_.next_due_ns()) {
    roster_.Maintain();
  }
  SchedulePump();
}

template <typename Mode>
void LoopPool<Mode>::BeginDrain(DrainNode& node) noexcept {
  drainers_.PushBack(node);
  const Session session(*this);
  roster_.Close();
  SchedulePump();
}

template <typename Mode>
bool LoopPool<Mode>::AbandonDrain(DrainNode& node, DrainReport& report) noexcept {
  uint32_t count = 0;
  {
    const Session session(*this);
    if (roster_.drained()) {
      // It has ended together with its deadline: the pump is going to say so.
      SchedulePump();
      return false;
    }
    count = roster_.Stats().slots.used();
  }
  // As the pool is closed and only tasks of this loop empty a slot, there will be as many below.
  report.abandoned = OwnedArray<AbandonedSlot>::Create(allocator(), count);
  {
    const Session session(*this);
    const int64_t now_ns = loop().Now();
    roster_.VisitUsed([&](const Slot& slot) { report.Add(slot, now_ns); });
    report.acquirer_count = roster_.acquirers();
  }
  IntrusiveList<DrainNode>::Remove(node);
  report.Describe();
  stages_.StopWork();
  stages_.StopCleanup();
  return true;
}

}  // namespace tenon::pool

#endif  // TENON_POOL_ENGINE_LOOP_POOL_H_
