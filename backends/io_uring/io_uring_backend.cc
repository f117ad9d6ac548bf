// Making the backend, and the way of operations into the ring.

#include "tenon/backends/io_uring/io_uring_backend.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "absl/log/check.h"
#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/backends/io_uring/prepare.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/sigpipe_guard.h"
#include "tenon/core/loop/time.h"

namespace tenon::io_uring {
namespace {

// Whether poll(2) knows a descriptor. Those that it does not know count as always ready, which only
// epoll tells apart from being ready now.
absl::Status CheckPollable(int fd) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) return OsError(errno, "epoll_create1");
  epoll_event event = {.events = 0, .data = {.u64 = 0}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  if (errno == EPERM)
    return StatusOf(absl::StatusCode::kUnimplemented, "epoll_ctl: cannot be polled");
  return OsError(errno, "epoll_ctl(EPOLL_CTL_ADD)");
}

// Counts an eventfd up. Async-signal-safe.
void Signal(int eventfd) {
  const uint64_t one = 1;
  while (::write(eventfd, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

}  // namespace

absl::StatusOr<Owned<LoopBackend>> IoUringBackend::Create(const LoopOptions& options,
                                                          Allocator& allocator,
                                                          const Environment& environment) {
  Owned<IoUringBackend> backend = MakeOwned<IoUringBackend>(allocator, allocator, environment);
  if (backend == nullptr) return OutOfMemory();
  if (absl::Status status = backend->Init(options); !status.ok()) return status;
  return backend;
}

IoUringBackend::IoUringBackend(Allocator& allocator, const Environment& environment)
    : allocator_(allocator),
      ring_(*environment.kernel),
      ask_again_ns_(kForeverNs),
      no_signal_(environment.no_signal) {}

absl::Status IoUringBackend::Init(const LoopOptions& options) {
  queue_depth_ = options.queue_depth;
  kinds_ = OwnedArray<DescriptorKind>::Create(allocator_, options.max_handles);
  if (!kinds_.ok()) return OutOfMemory();
  if (absl::Status status = ring_.Init(options.queue_depth); !status.ok()) return status;
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return wake_.ok() ? absl::OkStatus() : OsError(errno, "eventfd");
}

IoUringBackend::~IoUringBackend() {
  // Empty, save in a forked child, where their operations are gone.
  to_issue_.Abandon();
  to_repeat_.Abandon();
  to_cancel_.Abandon();
  cancelling_.Abandon();
}

BackendCapabilities IoUringBackend::capabilities() const noexcept {
  return {
      .native_files = true, .multishot = true, .provided_buffers = true, .zero_copy_send = true};
}

absl::Status IoUringBackend::Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept {
  DCHECK_LT(slot, kinds_.size());
  if (kind == DescriptorKind::kOther) {
    if (absl::Status status = CheckPollable(fd); !status.ok()) return status;
  } else if (kind == DescriptorKind::kTcpSocket || kind == DescriptorKind::kOtherSocket) {
    // On a blocking one some operations would wait in a thread of the kernel, or for what they
    // never wait for elsewhere, such as room in a backlog.
    if (absl::Status status = SetNonBlocking(fd); !status.ok()) return status;
  }
  kinds_[slot] = kind;
  return absl::OkStatus();
}

absl::Status IoUringBackend::RegisterBuffers(BufferPool& pool) noexcept {
  return buffers_.Init(ring_, pool, allocator_);
}

int64_t IoUringBackend::Now() const noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecondNs + now.tv_nsec;
}

void IoUringBackend::Wake() noexcept {
  // Its poll is edge-triggered: every write gives a completion, so nobody reads it back to zero.
  Signal(wake_.get());
  const int watched = woken_while_embedded_.load(std::memory_order_acquire);
  if (watched >= 0) Signal(watched);
}

bool IoUringBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  // What was kept back until a callback has run.
  const bool all_reaped = Reap(sink);
  Repeat(sink);
  PrepareInternal();
  while (!batch.empty() && to_issue_.empty() && batch.popped() < queue_depth_) {
    Operation& operation = batch.Pop();
    if (operation.opcode() == Opcode::kShutdown) {
      // Never waits, and the ring would have a thread do it.
      sink.Complete(operation, PerformNonBlocking(operation, KindOf(operation)));
      continue;
    }
    Issue(*::new (&operation.Scratch<Flight>()) Flight(operation));
  }
  return !all_reaped || !to_issue_.empty() || !batch.empty();
}

DescriptorKind IoUringBackend::KindOf(const Operation& operation) const {
  const uint32_t slot = operation.handle().index;
  // An operation on a path in the current directory has no slot.
  return slot < kinds_.size() ? kinds_[slot] : DescriptorKind::kOther;
}

// A free entry of the submission queue. Null when it is full and the kernel takes nothing for now.
io_uring_sqe* IoUringBackend::NextEntry() {
  if (io_uring_sqe* entry = ring_.NextEntry(); entry != nullptr) return entry;
  Call(Enter::kSubmit, kForeverNs);
  return ring_.NextEntry();
}

// Prepares an entry for the next attempt, or wait, of an operation, or has it wait for an entry.
void IoUringBackend::Issue(Flight& flight) {
  io_uring_sqe* const entry = to_issue_.empty() ? NextEntry() : nullptr;
  if (entry == nullptr) {
    to_issue_.PushBack(flight);
    return;
  }
  Operation& operation = flight.operation;
  flight.in_ring = true;
  if (flight.waits_for_ready || operation.opcode() == Opcode::kPoll) {
    PrepareWait(flight, *entry);
  } else {
    const Attempt attempt = {.kind = KindOf(operation),
                             .zero_copy = flight.zero_copy,
                             .blocking = flight.blocking,
                             .no_signal = no_signal_};
    Prepare(operation, attempt, *entry);
    flight.signalling = operation.opcode() == Opcode::kWrite && !no_signal_ &&
                        attempt.kind == DescriptorKind::kPipe;
    if (flight.signalling) ++signalling_writes_;
  }
  io_uring_sqe_set_data64(entry, TagOf(operation));
}

// What goes before new operations: those that had no room, and cancels. Also keeps the wakeup
// armed.
void IoUringBackend::PrepareInternal() {
  if (arm_wakeup_ && PrepareWakeup()) arm_wakeup_ = false;
  if (!to_issue_.empty()) {
    IntrusiveList<Flight> waiting;
    waiting.Append(to_issue_);
    while (Flight* flight = waiting.PopFront()) Issue(*flight);
  }
  if (!to_cancel_.empty()) PrepareCancels();
}

// Attempts multishot operations anew whose callbacks have run.
void IoUringBackend::Repeat(CompletionSink& sink) {
  IntrusiveList<Flight> waiting;
  waiting.Append(to_repeat_);
  while (Flight* flight = waiting.PopFront()) {
    if (sink.CanTakeMore(flight->operation)) {
      TryAgain(*flight, sink);
    } else {
      to_repeat_.PushBack(*flight);
    }
  }
}

bool IoUringBackend::PrepareWakeup() {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) return false;
  io_uring_prep_poll_multishot(entry, wake_.get(), EPOLLIN);
  io_uring_sqe_set_data64(entry, kWakeTag);
  return true;
}

void IoUringBackend::PrepareCancels() {
  while (!to_cancel_.empty()) {
    io_uring_sqe* const entry = NextEntry();
    if (entry == nullptr) return;  // They stay, and keep Wait from waiting.
    Flight& flight = *to_cancel_.PopFront();
    io_uring_prep_cancel64(entry, TagOf(flight.operation), 0);
    // That it was found says nothing: the operation's own completion does.
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, kCancelTag);
    cancelling_.PushBack(flight);
  }
}

// The kernel did not find some operation, or found it running (-ENOENT, -EALREADY). Mostly its
// completion is on its way; but it may have been between two states, so what is still there after
// a while is asked for again.
void IoUringBackend::AskAgain() {
  ask_again_ns_ = kForeverNs;
  to_cancel_.Append(cancelling_);
}

// Makes the system call, guarding against the SIGPIPE of pipes where the kernel cannot be told.
int IoUringBackend::Call(Enter how, int64_t timeout_ns) {
  __kernel_timespec timeout = {.tv_sec = timeout_ns / kSecondNs, .tv_nsec = timeout_ns % kSecondNs};
  __kernel_timespec* const limit = timeout_ns == kForeverNs ? nullptr : &timeout;
  if (signalling_writes_ == 0) return ring_.Call(how, limit);
  SigpipeGuard guard;
  const int result = ring_.Call(how, limit);
  guard.AbsorbPending();
  return result;
}

// The ring's own descriptor will not do: work that is deferred to the loop's thread makes it
// readable only when that thread asks.
absl::StatusOr<int> IoUringBackend::PollFd() noexcept {
  if (arrivals_.ok()) return arrivals_.get();
  UniqueFd arrivals(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!arrivals.ok()) return OsError(errno, "eventfd for embedding");
  const int result = io_uring_register_eventfd(&ring_.raw(), arrivals.get());
  if (result < 0) return OsError(-result, "io_uring_register(IORING_REGISTER_EVENTFD)");
  arrivals_ = std::move(arrivals);
  woken_while_embedded_.store(arrivals_.get(), std::memory_order_release);
  return arrivals_.get();
}

int64_t IoUringBackend::Flush() noexcept {
  if (Now() >= ask_again_ns_) AskAgain();
  PrepareInternal();
  if (ring_.unsubmitted() > 0) Call(Enter::kSubmit, kForeverNs);
  const int64_t again_ns = cancelling_.empty() ? kForeverNs : ask_again_ns_;
  if (!arrivals_.ok()) return again_ns;
  // Kernels up to 6.18 at least signal only once for what another eventfd brings about, such as a
  // Read of one: registered anew, it is once again.
  io_uring_unregister_eventfd(&ring_.raw());
  const bool registered = io_uring_register_eventfd(&ring_.raw(), arrivals_.get()) == 0;
  // Readable from here on exactly if there is something left, or another Flush is needed.
  eventfd_t count = 0;
  ::eventfd_read(arrivals_.get(), &count);
  if (!registered || ring_.Peek() != nullptr || ring_.NeedsReaping()) Signal(arrivals_.get());
  return again_ns;
}

void IoUringBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  reported_ = false;
  bool called = false;
  Repeat(sink);
  while (true) {
    PrepareInternal();
    const bool all_reaped = Reap(sink);
    // Something is at hand, or more than the kernel takes at a time is waiting.
    const bool busy =
        reported_ || !all_reaped || !to_issue_.empty() || !to_cancel_.empty() || arm_wakeup_;
    if (called && (busy || Now() >= deadline_ns)) return;
    const int64_t until_ns =
        busy ? 0 : std::min(deadline_ns, cancelling_.empty() ? kForeverNs : ask_again_ns_);
    const int64_t now_ns = until_ns == kForeverNs || until_ns <= 0 ? 0 : Now();
    if (until_ns > now_ns) {
      Call(Enter::kWait, until_ns == kForeverNs ? kForeverNs : until_ns - now_ns);
    } else if (ring_.unsubmitted() > 0 || ring_.NeedsReaping()) {
      Call(Enter::kReap, kForeverNs);
    }
    called = true;
    if (ask_again_ns_ != kForeverNs && Now() >= ask_again_ns_) AskAgain();
  }
}

}  // namespace tenon::io_uring
