// The event loop: the one class that users see, over any LoopBackend.

#ifndef TENON_CORE_LOOP_LOOP_H_
#define TENON_CORE_LOOP_LOOP_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/fork_guard.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/handle_table.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_observer.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/poll_descriptor.h"
#include "tenon/core/loop/posted_task.h"
#include "tenon/core/loop/timer_wheel.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/loop/work_pool.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon {

class OwnedHandle;

// When Loop::Run returns.
enum class RunUntil : uint8_t {
  kIdle,     // nothing is pending, posted or closing; or Stop
  kStopped,  // Stop only: for loops that live on posts from other threads
};

// Performs operations, timers, blocking work and posted tasks, and calls back on one thread.
//
// Ownership: the caller owns the loop (`Owned<Loop>`); the loop owns its backend, its threads, its
//   buffers and every descriptor that was adopted. Operations and posted tasks stay the callers'.
//   The allocator outlives the loop.
// Threads: the loop belongs to the thread that created it, and CHECKs it (SUB-6), save for Post,
//   Stop and Wake, which any thread may call until the destructor begins, a call being under way
//   then included (WAK-2), and for Now, allocator, capabilities and backend_name. In a forked child
//   a loop may only be destroyed, which frees memory and closes the child's descriptors without
//   completing anything; all else is refused (INIT-7).
// Reentrancy: callbacks may call everything but Run, RunOnce, Poll and the destructor, which is a
//   CHECK, and Drain, which is FailedPrecondition (TD-7).
// Shutdown: Drain, or the destructor, which drains without a bound. Closing a descriptor or a ring
//   is not a drain: only a final completion gives memory back (TD-3).
//
// After Create, Adopt and RegisterBuffers nothing on the loop allocates (INIT-9): no method below
// that does not return a Status can fail, and none fails for want of memory.
//
//   absl::StatusOr<Owned<Loop>> loop = Loop::Create(epoll::Factory(), {}, allocator);
//   if (!loop.ok()) return loop.status();
//   Operation timer([](Operation&) { LOG(INFO) << "a second has passed"; });
//   timer.PrepareTimer(kSecondNs);
//   (*loop)->Submit(timer);
//   (*loop)->Run();
class Loop {
 public:
  // Makes a loop. Fails with InvalidArgument for options out of range; ResourceExhausted, without a
  // message, where the allocator has no memory (INIT-1); and the status of the refusal, naming the
  // resource, the likely cause and the remedy, where the kernel refuses a thread, a descriptor, a
  // ring (INIT-3, INIT-4). A failure leaves nothing behind (INIT-2), and no state that would make
  // the next call fail (INIT-6).
  static absl::StatusOr<Owned<Loop>> Create(const LoopBackendFactory& factory,
                                            const LoopOptions& options,
                                            Allocator& allocator) noexcept;

  // Drains without a bound, runs what is posted, and frees everything (TD-8). Objects that refer to
  // the loop's handles may be destroyed afterwards (TD-5).
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // ---- Descriptors ----

  // Takes ownership of a descriptor, which becomes non-blocking if the backend needs that, and
  // returns the handle that operations name it by. On failure the descriptor is closed, exactly
  // once, and the loop is as before (HDL-1): ResourceExhausted at max_handles or for want of
  // memory, FailedPrecondition after Drain began, InvalidArgument for what is no open descriptor,
  // else what the kernel refused.
  absl::StatusOr<Handle> Adopt(UniqueFd fd) noexcept;

  // Closes a descriptor: cancels everything pending on the handle, awaits those completions, then
  // closes it, exactly once and before Drain returns (HDL-4, HDL-5). The handle is stale at once,
  // and a stale handle is ignored. Cannot fail, needs no memory. The error of close(2) is lost; an
  // Fsync before it finds out what matters.
  void Close(Handle handle) noexcept;

  // The descriptor behind a handle, for system calls that set or read its properties, or -1 if the
  // handle is stale. The loop keeps it.
  int Descriptor(Handle handle) const noexcept;

  // ---- Operations ----

  // Takes on a prepared operation. Never runs a callback (SUB-1), never fails, never drops; a full
  // queue delays (SUB-2). Whatever is wrong with the request is its result: -EBADF for a stale
  // handle (SUB-3), -ECANCELED once Drain has begun, -EOPNOTSUPP where the backend does not declare
  // the capability.
  // REQUIRES: the operation is idle (SUB-6).
  void Submit(Operation& operation) noexcept;

  // Asks for an operation to be given up. Its final completion still comes, once, later (CAN-1):
  // with -ECANCELED, or, where it had moved bytes or made something, with that result (CAN-3);
  // an Accept or OpenAt is -ECANCELED in any case, and its descriptor closed (CAN-5). Its memory
  // and buffers are the caller's only then (CAN-7). No effect on an idle operation or one
  // cancelled before (CAN-2). Other operations are undisturbed (CAN-6).
  void Cancel(Operation& operation) noexcept;

  // ---- Buffers for RecvPooled and RecvMultishot ----

  // Provides `count` (1 to BufferPool::kMaxCount) buffers of `size` bytes each. At most once.
  // ResourceExhausted for want of memory, Unimplemented where the backend has no such thing,
  // FailedPrecondition the second time, InvalidArgument.
  absl::Status RegisterBuffers(uint32_t count, uint32_t size) noexcept;
  // The bytes of a buffer that a completion named. REQUIRES: it is lent.
  absl::Span<char> Buffer(uint16_t buffer_id) noexcept;
  // Gives a buffer back. CHECKs that it is lent (CMP-10).
  void ReturnBuffer(uint16_t buffer_id) noexcept;

  // ---- Running ----

  // Turns until nothing is left to do, or Stop; see RunUntil.
  void Run(RunUntil until = RunUntil::kIdle) noexcept;

  // One turn: runs what is ready; if nothing is, waits until `deadline_ns` of Now() for something.
  // Returns how many callbacks and posted tasks ran.
  uint64_t RunOnce(int64_t deadline_ns = kForeverNs) noexcept;

  // One turn without waiting.
  uint64_t Poll() noexcept { return RunOnce(0); }

  // Whether a turn is under way, so that Run, RunOnce and Poll may not be called (TD-7).
  bool in_turn() const noexcept { return in_turn_; }

  // Runs a task on the loop's thread, soon; false when it is already posted. Each thread's tasks
  // run in the order it posted them (WAK-4). Posted during Drain, they run before it returns;
  // later ones in the next Drain, in the destructor at the latest. Any thread.
  bool Post(PostedTask& task) noexcept;

  // Makes the current Run return after its turn, or else the next one at once. Ends one wait, as
  // Wake does; RunOnce and Drain are not stopped by it. Any thread.
  void Stop() noexcept;

  // Makes the current or the next turn not wait (WAK-1, WAK-3). Any thread.
  void Wake() noexcept;

  // For a loop that a foreign one drives: a descriptor, the loop's own, to be watched for input
  // level-triggered; while it is readable, Poll() has something to do. The first call makes two
  // descriptors, with some backends a third, and fails with the kernel's refusal. Unimplemented
  // where the backend has no descriptor of its own.
  absl::StatusOr<int> PollFd() noexcept;

  // The time of the loop's clock, in nanoseconds (tenon/core/loop/time.h).
  int64_t Now() const noexcept { return backend_->Now(); }

  // The time at which the loop last ceased to wait, 0 before its first turn: behind Now() by what
  // the turn has taken so far, and for nothing. For measuring what lasts longer than a turn.
  int64_t TurnTime() const noexcept { return last_wait_end_ns_; }

  // ---- Teardown ----

  // Ends the loop's work: refuses new operations (they complete with -ECANCELED), cancels what is
  // pending, turns until every completion has been delivered (TD-1, TD-2), closes every handle
  // and orphaned descriptor (TD-4), and joins the blocking threads (TD-8). OK, and then no kernel
  // write reaches user memory any more (TD-3); FailedPrecondition inside a callback (TD-7) or in
  // a forked child; DeadlineExceeded, naming what is still in flight, where `deadline_ns` of Now()
  // passes first: Work that has begun cannot be interrupted. The loop then still turns, refuses new
  // operations, and can be drained again (TD-6). A callback that answers every -ECANCELED with a
  // new operation, or a task that always posts itself again, keeps it from ending.
  absl::Status Drain(int64_t deadline_ns = kForeverNs) noexcept;

  // ---- Looking at it ----

  BackendCapabilities capabilities() const noexcept { return capabilities_; }
  absl::string_view backend_name() const noexcept { return backend_name_; }
  Allocator& allocator() const noexcept { return allocator_; }
  LoopStats Stats() const noexcept;
  // Installs an observer, or none with null.
  void SetObserver(LoopObserver* observer) noexcept;

 private:
  friend class OwnedHandle;
  template <typename T, typename... Args>
  friend Owned<T> MakeOwned(Allocator&, Args&&...);

  Loop(const LoopOptions& options, Allocator& allocator);
  absl::Status Init(const LoopBackendFactory& factory);

  // Misuse, checked at every entry: those for any thread, and all others.
  void CheckNotForked() const;
  void CheckUsable() const;

  class ForeignCall;
  void WakeIfAsleep();

  // The way of an operation in (loop_submit.cc).
  bool Pin(Operation& operation);
  void Unpin(Handle handle, bool bound);
  PendingList& PendingListOf(const Operation& operation);
  void Route(Operation& operation);
  void RouteToHandle(Operation& operation);
  void RouteToFile(Operation& operation, HandleSlot& slot);
  IntrusiveList<Operation>& QueueFor(const HandleSlot& slot);
  void ArmTimer(Operation& operation);
  void TakeDirection(Operation& operation, HandleSlot& slot);
  void PassDirectionOn(Operation& operation);
  void HoldAccept(Operation& operation);
  void ReleaseHeldAccepts();
  void Finish(Operation& operation, int32_t result);

  // The turn, and the way of a completion out (loop_turn.cc).
  void WaitForEvents(int64_t deadline_ns);
  uint64_t RunPosted();
  void StartQueued();
  void ReapWork();
  void ExpireTimers();
  uint64_t DeliverReady();
  void Deliver(Operation& operation);
  void DeliverMore(Operation& operation);
  bool DropDescriptorIfCancelled(Operation& operation);
  void RunCallback(Operation& operation);
  bool Idle() const;
  bool SomethingArrived() const;
  void ArmPollDescriptor();
  void NoteCallFromOutside();

  // Closing and teardown (loop_drain.cc).
  void BeginClose(uint32_t index);
  void FinishCloseIfQuiet(uint32_t index);
  void CancelEverything();
  void CloseEverything();
  absl::Status StillInFlight() const;
  void AbandonInChild();

  Allocator& allocator_;
  const LoopOptions options_;
  absl::string_view backend_name_;
  BackendCapabilities capabilities_;
  const pthread_t owner_;
  ForkGuard fork_guard_;
  HandleTable handles_;
  BufferPool buffers_;
  WorkPool work_pool_;
  Owned<LoopBackend> backend_;

  // Operations that are on their way to the backend, and to the blocking threads, in order.
  IntrusiveList<Operation> queued_;
  IntrusiveList<Operation> work_queued_;
  // Those that have a completion to deliver.
  IntrusiveList<Operation> ready_;
  // After the descriptor limit was met, until when Accept is held back (HDL-6); else 0. The Accepts
  // that are, and the timer that lets them go.
  int64_t accept_not_before_ns_ = 0;
  IntrusiveList<Operation> held_accepts_;
  Operation accept_timer_;
  // Operations without a handle of their own, or with two.
  PendingList unbound_;
  CompletionSink sink_;
  TimerWheel timers_;
  PollDescriptor poll_descriptor_;
  LoopObserver* observer_ = nullptr;
  LoopStats stats_;
  uint64_t pending_ = 0;
  uint64_t closing_ = 0;
  // The clock at the end of the last wait.
  int64_t last_wait_end_ns_ = 0;
  // The operation whose callback runs; read by mutations only.
  const Operation* delivering_ = nullptr;
  bool backend_has_more_ = false;
  bool in_turn_ = false;
  bool draining_ = false;
  bool drained_ = false;

  // What other threads touch.
  PostQueue posted_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> wake_requested_{false};
  std::atomic<bool> stop_requested_{false};
  std::atomic<uint64_t> remote_wakes_{0};
  // Calls of Post, Stop and Wake under way; the destructor waits for them (WAK-2).
  std::atomic<uint32_t> callers_{0};
};

// Closes a handle when it goes out of scope, also when its loop is gone by then (TD-5). Move-only.
//
// Ownership: owns the handle; the loop knows of the owner and tells it when the handle closes.
// Threads: the loop's thread.
class OwnedHandle {
 public:
  OwnedHandle() = default;
  // Takes charge of a handle of the loop. REQUIRES: it is not stale and has no other owner.
  OwnedHandle(Loop& loop, Handle handle);
  OwnedHandle(OwnedHandle&& other) noexcept;
  OwnedHandle& operator=(OwnedHandle&& other) noexcept;
  ~OwnedHandle() { Reset(); }

  // The handle, or a stale one when nothing is owned or the loop has closed it.
  Handle get() const { return loop_ == nullptr ? Handle{} : handle_; }
  // Gives up ownership.
  Handle Release();
  // Closes the handle, if it is still open.
  void Reset();

 private:
  friend class Loop;

  Loop* loop_ = nullptr;
  Handle handle_;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_LOOP_H_
