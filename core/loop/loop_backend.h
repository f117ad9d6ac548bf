// The narrow waist between the one Loop that users see and the kernel interfaces beneath it.

#ifndef TENON_CORE_LOOP_LOOP_BACKEND_H_
#define TENON_CORE_LOOP_LOOP_BACKEND_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/time.h"

namespace tenon {

// What a backend does by itself. Declared, queried, never guessed; what it does not, the loop does
// or refuses.
struct BackendCapabilities {
  // Read, Write on files, Fsync, OpenAt, Statx, Rename, Unlink, Mkdir are started on the backend.
  // Otherwise the loop runs them on its blocking threads, and the backend never sees them.
  bool native_files = false;
  // Accept and Recv with multishot() (CMP-9).
  bool multishot = false;
  // Recv with pooled_buffer(), after RegisterBuffers (CMP-10).
  bool provided_buffers = false;
  // Send with zero_copy() leaves the bytes where they are. The backend then reports the count with
  // kMore when they are on their way, upon which the loop starts the next send of the handle, and
  // the same count finally when nothing reads them any more. Otherwise it is a Send.
  bool zero_copy_send = false;
};

// What kind of thing a descriptor is; found by the loop when it is adopted.
enum class DescriptorKind : uint8_t {
  kTcpSocket,    // a short count means that the kernel has no more for now; see ExhaustedBy
  kOtherSocket,  // any other
  kPipe,         // with read(2) and write(2)
  kFile,         // a regular file, directory or block device: always ready
  kOther,        // whatever else can be polled: eventfd, timerfd, signalfd, inotify, terminals
};

// Starts, cancels and awaits operations on one kernel interface, for one loop.
//
// The loop resolves handles, queues, orders operations of one direction on one handle (the backend
// sees the next only after the former's final completion), keeps timers, runs callbacks, blocking
// work and teardown: those are the same on every backend. The backend performs Poll, Accept,
// Connect, Recv, Send, RecvMsg, SendMsg, Shutdown, Splice, Read and Write on descriptors that can
// be polled, and the file operations if it declares native_files.
//
// Ownership: the loop owns the backend. Operations stay the caller's; the backend may use an
//   operation's scratch, and link it into a list of its own unless it is multishot, from Pop to
//   the final completion.
// Threads: the loop's thread, except Wake. Construction and destruction are on the loop's thread.
// Reentrancy: no virtual is called from within another; the sink runs no callbacks.
// Shutdown: before destruction the loop has had a final completion of every operation and detached
//   every slot, except in a forked child, where operations have left the backend's lists without a
//   completion, and the destructor must close and free what the backend owns without touching
//   kernel objects that the parent shares (INIT-7).
//
// Nothing here may allocate or fail unless it returns a Status (INIT-9). Nothing may throw.
class LoopBackend {
 public:
  virtual ~LoopBackend() = default;

  virtual BackendCapabilities capabilities() const noexcept = 0;

  // Makes a descriptor known as `slot`, a number below LoopOptions::max_handles that is free now.
  // The loop keeps ownership of `fd` and closes it if this fails (HDL-1). Unimplemented says that
  // the descriptor cannot be polled; the loop then treats it as a file.
  virtual absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept = 0;

  // Forgets a slot, synchronously: no event of the descriptor may surface afterwards, also if the
  // open file description lives on elsewhere (HDL-2, HDL-3). The loop closes `fd` next.
  // REQUIRES: attached; none of its operations is in flight.
  virtual void Detach(uint32_t slot, int fd) noexcept = 0;

  // Starts operations, in order, popping those it takes from `batch` up to its queue depth; may
  // leave the rest. Completions that are at hand go into `sink`. Does not wait. Returns whether it
  // could do more without an event, for which the loop comes again in the same turn.
  virtual bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept = 0;

  // Asks for an operation in flight to be given up. Its final completion follows, here or later,
  // as -ECANCELED or with what it had achieved: an operation that moved bytes or made something
  // reports that (CAN-3). Needs no room and no memory (CAN-4).
  // REQUIRES: the operation was popped and has not finally completed; called once for it.
  virtual void Cancel(Operation& operation, CompletionSink& sink) noexcept = 0;

  // Reports completions, waiting for one until `deadline_ns` of Now() if there is none; returns
  // early for Wake. A deadline in the past means not to wait. Waits neither shorter than needed for
  // the deadline, nor in a spin (TIM-1, TIM-2). EINTR is invisible (CMP-8).
  virtual void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept = 0;

  // Hands to the kernel what Start took and has kept back for the next Wait. Called before the loop
  // is left: to its owner, or to a foreign loop, which waits on PollFd() instead and comes back by
  // the time that is returned, kForeverNs if it need not.
  virtual int64_t Flush() noexcept { return kForeverNs; }

  // Makes a current or the next Wait return. Any thread; async-signal-safe. Wakes may coalesce.
  virtual void Wake() noexcept = 0;

  // A descriptor of the backend's own that poll(2) reports readable while Wait would report
  // something or was woken: what a foreign loop watches (Loop::PollFd). Valid while the backend is.
  // Only when it is called need the backend go to the expense. Unimplemented where there is
  // none, such as with a simulated clock; else an error names what was refused.
  virtual absl::StatusOr<int> PollFd() noexcept {
    return StatusOf(absl::StatusCode::kUnimplemented, "the backend has no descriptor to watch");
  }

  // The time in nanoseconds since some start, never decreasing, at least 0. CLOCK_MONOTONIC for
  // real backends.
  virtual int64_t Now() const noexcept = 0;

  // Makes `pool` the source of buffers for Recv with pooled_buffer(). The pool outlives the
  // backend. Called at most once, and only if provided_buffers is declared.
  virtual absl::Status RegisterBuffers(BufferPool& pool) noexcept = 0;
  // Tells that the callback gave back a buffer; its bytes may be overwritten from now on.
  virtual void ReturnBuffer(uint16_t id) noexcept = 0;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_LOOP_BACKEND_H_
