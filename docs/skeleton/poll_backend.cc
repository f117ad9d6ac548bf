#include "tenon/docs/skeleton/poll_backend.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::skeleton {
namespace {

class PollBackend final : public LoopBackend {
 public:
  explicit PollBackend(const LoopOptions& options) : queue_depth_(options.queue_depth) {}

  absl::Status Init(const LoopOptions& options, Allocator& allocator);

  BackendCapabilities capabilities() const noexcept override { return {}; }
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override;
  void Detach(uint32_t slot, int fd) noexcept override;
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;
  void Wake() noexcept override;
  int64_t Now() const noexcept override;
  // No descriptor stands for all that poll(2) is asked about: loops over this cannot be embedded.
  absl::Status RegisterBuffers(BufferPool& /*pool*/) noexcept override {
    return absl::UnimplementedError("poll: provided buffers");
  }
  void ReturnBuffer(uint16_t /*id*/) noexcept override {}

 private:
  // What the kernel is asked about: entry 0 is the eventfd, entry n + 1 is slot n.
  static constexpr uint32_t kWakeEntry = 0;

  // Kept in the scratch of an operation that waits: the slot it waits on, and what for.
  struct Waiting {
    uint32_t slot;
    short events;
  };

  void Attempt(Operation& operation, CompletionSink& sink);
  int32_t Perform(Operation& operation);
  Waiting WhatItWaitsFor(const Operation& operation) const;
  void Park(Operation& operation, Waiting waiting);
  void RunSlot(uint32_t slot, CompletionSink& sink);
  int AskKernel(int64_t deadline_ns);

  const uint32_t queue_depth_;
  UniqueFd wake_;
  OwnedArray<pollfd> entries_;
  OwnedArray<DescriptorKind> kinds_;
  OwnedArray<IntrusiveList<Operation>> parked_;
  // Entries in use are below this.
  nfds_t used_ = 1;
};

absl::Status PollBackend::Init(const LoopOptions& options, Allocator& allocator) {
  entries_ = OwnedArray<pollfd>::Create(allocator, options.max_handles + 1);
  kinds_ = OwnedArray<DescriptorKind>::Create(allocator, options.max_handles);
  parked_ = OwnedArray<IntrusiveList<Operation>>::Create(allocator, options.max_handles);
  if (!entries_.ok() || !kinds_.ok() || !parked_.ok()) return OutOfMemory();
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.ok()) return OsError(errno, "eventfd");
  std::fill(entries_.begin(), entries_.end(), pollfd{.fd = -1, .events = 0, .revents = 0});
  entries_[kWakeEntry] = {.fd = wake_.get(), .events = POLLIN, .revents = 0};
  return absl::OkStatus();
}

absl::Status PollBackend::Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return OsError(errno, "fcntl(F_SETFL, O_NONBLOCK)");
  }
  // The kernel is asked once something waits on it.
  kinds_[slot] = kind;
  return absl::OkStatus();
}

void PollBackend::Detach(uint32_t slot, int /*fd*/) noexcept {
  DCHECK(parked_[slot].empty());
  entries_[slot + 1] = {.fd = -1, .events = 0, .revents = 0};
}

bool PollBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  while (!batch.empty() && batch.popped() < queue_depth_) Attempt(batch.Pop(), sink);
  return false;
}

void PollBackend::Attempt(Operation& operation, CompletionSink& sink) {
  const int32_t result = Perform(operation);
  if (result != kWouldBlock) return sink.Complete(operation, result);
  Park(operation, WhatItWaitsFor(operation));
}

int32_t PollBackend::Perform(Operation& operation) {
  if (operation.opcode() == Opcode::kPoll) {
    const int32_t ready = PollNow(operation.fd(), operation.parameters().poll_events);
    return ready == 0 ? kWouldBlock : ready;
  }
  return PerformNonBlocking(operation, kinds_[operation.handle().index]);
}

PollBackend::Waiting PollBackend::WhatItWaitsFor(const Operation& operation) const {
  const uint32_t slot = operation.handle().index;
  if (operation.opcode() == Opcode::kPoll) {
    return {slot, static_cast<short>(operation.parameters().poll_events)};
  }
  if (operation.opcode() == Opcode::kSplice) {
    // splice(2) does not say which side would block. A file never does.
    if (PollNow(operation.fd(), POLLIN) == 0) return {slot, POLLIN};
    return {operation.parameters().splice.to.index, POLLOUT};
  }
  const bool reads = DirectionOf(operation.opcode()) == Direction::kRead;
  return {slot, reads ? short{POLLIN} : short{POLLOUT}};
}

void PollBackend::Park(Operation& operation, Waiting waiting) {
  operation.Scratch<Waiting>() = waiting;
  parked_[waiting.slot].PushBack(operation);
  pollfd& entry = entries_[waiting.slot + 1];
  const bool second = operation.handle().index != waiting.slot;
  entry.fd = second ? operation.second_fd() : operation.fd();
  entry.events = static_cast<short>(entry.events | waiting.events);
  used_ = std::max<nfds_t>(used_, waiting.slot + 2);
}

// Tries everything that waits on a slot again. What still waits is put back, with its events.
void PollBackend::RunSlot(uint32_t slot, CompletionSink& sink) {
  IntrusiveList<Operation> waiting;
  waiting.Append(parked_[slot]);
  entries_[slot + 1] = {.fd = -1, .events = 0, .revents = 0};
  while (Operation* operation = waiting.PopFront()) {
    if (operation->opcode() == Opcode::kConnect) {
      const int32_t result = FinishConnect(*operation);
      if (result != kWouldBlock) {
        sink.Complete(*operation, result);
      } else {
        Park(*operation, {slot, POLLOUT});
      }
    } else {
      Attempt(*operation, sink);
    }
  }
}

void PollBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  IntrusiveList<Operation>::Remove(operation);
  // A connection that stands by now is a success (CAN-3).
  const bool connected = operation.opcode() == Opcode::kConnect && FinishConnect(operation) == 0;
  sink.Complete(operation, connected ? 0 : -ECANCELED);
}

void PollBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  if (AskKernel(deadline_ns) == 0) return;
  if (entries_[kWakeEntry].revents != 0) {
    uint64_t count;
    [[maybe_unused]] const ssize_t drained = ::read(wake_.get(), &count, sizeof(count));
  }
  for (uint32_t slot = 0; slot + 1 < used_; ++slot) {
    if (entries_[slot + 1].revents != 0) RunSlot(slot, sink);
  }
}

// Waits through signals (CMP-8) until something is ready or the deadline has passed.
int PollBackend::AskKernel(int64_t deadline_ns) {
  while (true) {
    const int64_t left_ns = deadline_ns <= 0 ? 0 : std::max<int64_t>(deadline_ns - Now(), 0);
    const timespec left = {.tv_sec = left_ns / kSecondNs, .tv_nsec = left_ns % kSecondNs};
    const bool forever = deadline_ns == kForeverNs;
    const int count = ::ppoll(entries_.data(), used_, forever ? nullptr : &left, nullptr);
    if (count > 0) return count;
    if (count < 0) CHECK_EQ(errno, EINTR) << "ppoll";
    if (!forever && Now() >= deadline_ns) return 0;
  }
}

void PollBackend::Wake() noexcept {
  const int saved_errno = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  errno = saved_errno;
}

int64_t PollBackend::Now() const noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

class PollFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "poll"; }

  absl::Status Probe() const noexcept override {
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
    return wake.ok() ? absl::OkStatus() : OsError(errno, "eventfd");
  }

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    Owned<PollBackend> backend = MakeOwned<PollBackend>(allocator, options);
    if (backend == nullptr) return OutOfMemory();
    if (absl::Status status = backend->Init(options, allocator); !status.ok()) return status;
    return backend;
  }
};

}  // namespace

const LoopBackendFactory& Factory() {
  static constexpr PollFactory kFactory;
  return kFactory;
}

}  // namespace tenon::skeleton
