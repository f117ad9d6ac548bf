// An acquirer in the queue of a pool.

#ifndef TENON_POOL_ACQUIRE_NODE_H_
#define TENON_POOL_ACQUIRE_NODE_H_

#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/status/status.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/posted_task.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/stop_token.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

class PoolCore;

// Lives in the frame of the task that awaits a resource, and needs no other memory. Its timer is
// both its deadline and what resumes it: whatever the answer, the task goes on in a completion of
// its loop, never inside the call that gave the answer.
//
// Answer and wake are two steps. The answer is the pool's, given where the pool's books are kept;
// the first one counts, a stop or a deadline being another (POOL-4). The wake comes on the thread
// of the task's loop; until then an answer may be taken back, and followed by another (POOL-11).
//
// Threads: that of the task's loop, save for Answer and what else is said to be the pool's.
class AcquireNode : private StopCallback, public ListLink<AcquireNode> {
 public:
  // A deadline as the pool's options have it.
  static constexpr int64_t kPoolTimeout = -1;

  AcquireNode(PoolCore& pool, int64_t deadline_ns, std::source_location site);

  // Asks for a resource. False where the answer is there already; else the task is resumed later.
  bool Begin(TaskPromise& awaiting) noexcept;

  // The slot, leased; or null, and why. REQUIRES: Begin was false, or the task was resumed.
  Slot* slot() const { return slot_; }
  const absl::Status& status() const { return status_; }

  std::source_location site() const { return site_; }
  // That of the task. REQUIRES: Begin was called.
  Loop& loop() const { return awaiting_->context().loop(); }

  // ---- For the pool, where its books are kept. ----

  void Answer(Slot& slot) { slot_ = &slot; }
  void Answer(absl::Status status) { status_ = std::move(status); }
  // The slot was invalidated before the task had it.
  void TakeBackAnswer() { slot_ = nullptr; }

  // Whether it is in the pool's queue, and its place there.
  bool waiting() const { return waiting_; }
  void SetWaiting(bool waiting) { waiting_ = waiting; }
  uint64_t ticket() const { return ticket_; }
  void SetTicket(uint64_t ticket) { ticket_ = ticket; }

  // Whether a wake is under way, which stands for every answer until PoolCore::Take.
  bool wake_pending() const { return wake_pending_; }
  void SetWakePending(bool pending) { wake_pending_ = pending; }

  // ---- For the pool, after an answer. ----

  // Tells the task's loop that there is an answer. On its thread.
  void Woken() noexcept;
  // The same, by way of the loop. Any thread.
  void Post() noexcept;

 private:
  void TimerDone() noexcept;
  void Stop() noexcept;
  void Finish() noexcept;
  void ArmTimer() noexcept;
  void ResumeTask() noexcept;

  PoolCore& pool_;
  int64_t deadline_ns_;
  const std::source_location site_;
  TaskPromise* awaiting_ = nullptr;
  Slot* slot_ = nullptr;
  absl::Status status_;
  uint64_t ticket_ = 0;
  bool waiting_ = false;
  bool wake_pending_ = false;
  bool woken_ = false;
  Operation timer_;
  PostedTask posted_;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_ACQUIRE_NODE_H_
