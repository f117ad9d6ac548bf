// Ending a pool, and telling what it could not wait for.

#ifndef TENON_POOL_DRAIN_H_
#define TENON_POOL_DRAIN_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/owned.h"
#include "tenon/core/task/context.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/slot/slot_state.h"

namespace tenon::pool {

// A slot that was not empty when a drain gave up.
struct AbandonedSlot {
  // kLeased, that of a task of the policy which has not ended, or kAssigned: given to an acquirer
  // whose loop has not turned since.
  SlotState state = SlotState::kEmpty;
  // Where it was leased, now or last; line 0 where it never was.
  std::source_location site = {};
  // For how long by now, if it is.
  int64_t held_ns = 0;
};

// What a drain ended with.
struct DrainReport {
  // OK: nothing is left. DeadlineExceeded, naming some of what is; without a message where there
  // was no memory for one.
  absl::Status status;
  size_t abandoned_count = 0;
  // Acquirers that have their answer and whose tasks have not resumed: their loops do not turn.
  uint32_t acquirer_count = 0;
  // All of it; empty, whatever the count, where there was no memory for the list.
  OwnedArray<AbandonedSlot> abandoned;

  // ---- For the pool. ----

  // Counts a slot, and lists it where there is room.
  void Add(const Slot& slot, int64_t now_ns);
  // Sets the status by what has been added.
  void Describe() noexcept;

 private:
  std::string Text() const;
};

// Who awaits the end of a pool. In the frame of the task that does.
//
// Threads: the pool's home loop.
class DrainNode : public ListLink<DrainNode> {
 public:
  DrainNode(PoolCore& pool, int64_t deadline_ns);

  void Begin(TaskPromise& awaiting) noexcept;
  DrainReport& report() { return report_; }

  // For the pool: nothing is left. The pool may be gone afterwards.
  void Drained() noexcept;

 private:
  void TimerDone() noexcept;
  void ResumeTask() noexcept { awaiting_->context().queue().Resume(*awaiting_); }

  PoolCore& pool_;
  const int64_t deadline_ns_;
  TaskPromise* awaiting_ = nullptr;
  bool drained_ = false;
  DrainReport report_;
  Operation timer_;
};

// Awaits the end of a pool. Made by Pool::Drain.
class [[nodiscard]] DrainAwaiter {
 public:
  DrainAwaiter(PoolCore& pool, int64_t deadline_ns) : node_(pool, deadline_ns) {}

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    node_.Begin(awaiting.promise());
  }
  DrainReport await_resume() noexcept { return std::move(node_.report()); }

 private:
  DrainNode node_;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_DRAIN_H_
