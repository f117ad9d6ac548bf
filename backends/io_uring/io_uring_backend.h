// Operations by submission and completion queues, io_uring(7).

#ifndef TENON_BACKENDS_IO_URING_IO_URING_BACKEND_H_
#define TENON_BACKENDS_IO_URING_IO_URING_BACKEND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/backends/io_uring/buffer_ring.h"
#include "tenon/backends/io_uring/flight.h"
#include "tenon/backends/io_uring/ring.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::io_uring {

// What tests replace.
struct Environment {
  // Outlives the backend.
  Kernel* kernel = &Kernel::Real();
  // Whether the kernel knows RWF_NOSIGNAL. Found out by the first write to a pipe.
  bool no_signal = true;
};

// One ring and the operations in it.
//
// Start fills submission entries; the one system call of a turn, in Wait, submits them, waits and
// collects completions. An entry is tagged with the address of its operation, which is pinned until
// the final completion; a cancel is an entry behind it, so it never meets a later use of the same
// operation.
//
// A completion that cannot be reported yet, because an earlier one of the same operation awaits its
// callback, stays in the queue with those behind it, which the next Start in the turn takes up.
//
// Threads: LoopBackend's.
class IoUringBackend final : public LoopBackend {
 public:
  static absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options, Allocator& allocator,
                                                   const Environment& environment = {});

  IoUringBackend(Allocator& allocator, const Environment& environment);
  // Closes the ring and the eventfd. Cancels nothing: the loop has seen to that, and in a forked
  // child the operations are the parent's.
  ~IoUringBackend() override;

  BackendCapabilities capabilities() const noexcept override;
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override;
  // Nothing to do: the kernel knows descriptors by operations, of which there are none.
  void Detach(uint32_t /*slot*/, int /*fd*/) noexcept override {}
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;
  int64_t Flush() noexcept override;
  void Wake() noexcept override;
  absl::StatusOr<int> PollFd() noexcept override;
  int64_t Now() const noexcept override;
  absl::Status RegisterBuffers(BufferPool& pool) noexcept override;
  void ReturnBuffer(uint16_t id) noexcept override { buffers_.Offer(id); }

 private:
  absl::Status Init(const LoopOptions& options);

  // Into the ring (io_uring_backend.cc).
  DescriptorKind KindOf(const Operation& operation) const;
  io_uring_sqe* NextEntry();
  void Issue(Flight& flight);
  void PrepareInternal();
  void PrepareCancels();
  bool PrepareWakeup();
  void AskAgain();
  void Repeat(CompletionSink& sink);
  int Call(Enter how, int64_t timeout_ns);

  // Out of it (io_uring_completion.cc).
  bool Reap(CompletionSink& sink);
  bool OnCompletion(const io_uring_cqe& cqe, CompletionSink& sink);
  static bool MustWait(const Flight& flight, const io_uring_cqe& cqe, const CompletionSink& sink);
  void OnReadiness(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink);
  void OnZeroCopySend(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink);
  void OnAchieved(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink);
  void OnRefused(Flight& flight, int32_t result, CompletionSink& sink);
  void OnNoBuffer(Flight& flight, CompletionSink& sink);
  void OnNoThread(Flight& flight, CompletionSink& sink);
  void TryAgain(Flight& flight, CompletionSink& sink);
  void WaitForReady(Flight& flight, CompletionSink& sink);
  void Finish(Flight& flight, int32_t result, CompletionSink& sink);

  Allocator& allocator_;
  uint32_t queue_depth_ = 0;
  Ring ring_;
  UniqueFd wake_;
  // Signalled by the kernel with every completion, for a foreign loop; made when one asks for it.
  UniqueFd arrivals_;
  // arrivals_, for whoever wakes; -1 before there is one.
  std::atomic<int> woken_while_embedded_{-1};
  // What the loop said of each descriptor, by slot.
  OwnedArray<DescriptorKind> kinds_;
  BufferRing buffers_;
  // Operations that need an entry for which there was no room: they go before anything new.
  IntrusiveList<Flight> to_issue_;
  // Multishot operations to be attempted again when their callback has run.
  IntrusiveList<Flight> to_repeat_;
  // Those whose cancel waits for an entry, and those whose cancel is with the kernel.
  IntrusiveList<Flight> to_cancel_;
  IntrusiveList<Flight> cancelling_;
  // When to ask again for what is in cancelling_; kForeverNs if there is no need.
  int64_t ask_again_ns_;
  // Writes to pipes in flight that may raise SIGPIPE in this thread.
  size_t signalling_writes_ = 0;
  bool no_signal_;
  // The eventfd's poll has ended, or is not begun.
  bool arm_wakeup_ = true;
  // Something for the loop came out of the completion queue since this was last cleared.
  bool reported_ = false;
};

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_IO_URING_BACKEND_H_
