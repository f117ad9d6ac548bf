#include "tenon/backends/epoll/epoll_backend.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"

namespace tenon::epoll {
namespace {

// Events taken from the kernel in one call.
constexpr size_t kEventsPerWait = 256;

// Marks the eventfd among the events; slot numbers are smaller.
constexpr uint64_t kWakeTag = std::numeric_limits<uint64_t>::max();

constexpr uint32_t kInput = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
constexpr uint32_t kEnded = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
// What poll(2) calls room, by any of its names.
constexpr uint32_t kRoom = POLLOUT | POLLWRNORM | POLLWRBAND;

absl::Status SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return OsError(errno, "fcntl(F_GETFL)");
  if ((flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
    return absl::OkStatus();
  }
  return OsError(errno, "fcntl(F_SETFL, O_NONBLOCK)");
}

}  // namespace

absl::StatusOr<Owned<LoopBackend>> EpollBackend::Create(const LoopOptions& options,
                                                        Allocator& allocator) {
  Owned<EpollBackend> backend = MakeOwned<EpollBackend>(allocator, options);
  if (backend == nullptr) return OutOfMemory();
  if (absl::Status status = backend->Init(options, allocator); !status.ok()) return status;
  return backend;
}

absl::Status EpollBackend::Init(const LoopOptions& options, Allocator& allocator) {
  events_ = OwnedArray<epoll_event>::Create(allocator, kEventsPerWait);
  if (!events_.ok()) return OutOfMemory();
  slot_capacity_ = options.max_handles;
  const Block block =
      allocator.Allocate({.size = slot_capacity_ * sizeof(Slot), .alignment = alignof(Slot)});
  if (block.ptr == nullptr) return OutOfMemory();
  slots_ = static_cast<Slot*>(block.ptr);
  allocator_ = &allocator;

  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.ok()) return OsError(errno, "epoll_create1");
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.ok()) return OsError(errno, "eventfd");
  // Edge-triggered: every write gives an event, so that nobody need read it back to zero.
  epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u64 = kWakeTag}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return OsError(errno, "epoll_ctl(EPOLL_CTL_ADD) of the eventfd");
  }
  const timespec no_wait = {};
  has_pwait2_ = ::epoll_pwait2(epoll_.get(), events_.data(), 1, &no_wait, nullptr) >= 0;
  return absl::OkStatus();
}

EpollBackend::~EpollBackend() {
  if (slots_ == nullptr) return;
  std::destroy_n(slots_, slots_constructed_);
  allocator_->Deallocate(slots_,
                         {.size = slot_capacity_ * sizeof(Slot), .alignment = alignof(Slot)});
}

BackendCapabilities EpollBackend::capabilities() const noexcept {
  return {.native_files = false, .multishot = true, .provided_buffers = true};
}

absl::Status EpollBackend::Attach(uint32_t slot_number, int fd, DescriptorKind kind) noexcept {
  DCHECK_LT(slot_number, slot_capacity_);
  epoll_event event = {.events = kInput, .data = {.u64 = slot_number}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    if (errno == EPERM) return absl::UnimplementedError("epoll_ctl: cannot be polled");
    return OsError(errno, "epoll_ctl(EPOLL_CTL_ADD)",
                   errno == ENOSPC ? "the user's limit on watches is reached; raise sysctl "
                                     "fs.epoll.max_user_watches"
                                   : "");
  }
  if (absl::Status status = SetNonBlocking(fd); !status.ok()) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    return status;
  }
  // The loop uses low numbers first.
  while (slots_constructed_ <= slot_number) ::new (&slots_[slots_constructed_++]) Slot();
  Slot& slot = slots_[slot_number];
  slot.fd = fd;
  slot.interest = kInput;
  slot.kind = kind;
  // Unknown: the first attempt finds out.
  slot.readable = true;
  slot.writable = true;
  slot.short_proves_nothing = false;
  return absl::OkStatus();
}

void EpollBackend::Detach(uint32_t slot_number, int fd) noexcept {
  Slot& slot = slots_[slot_number];
  DCHECK(slot.reader == nullptr && slot.writer == nullptr && slot.waiters.empty());
  // Closing alone would leave the registration of a file description that lives on elsewhere.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  slot.fd = -1;
}

EpollBackend::Slot* EpollBackend::FindSlot(Handle handle) {
  if (handle.index >= slots_constructed_) return nullptr;
  Slot& slot = slots_[handle.index];
  return slot.fd < 0 ? nullptr : &slot;
}

bool EpollBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  RunAgainList(sink);
  while (!batch.empty() && batch.popped() < queue_depth_) Begin(batch.Pop(), sink);
  return again_ != kNoSlot;
}

void EpollBackend::Begin(Operation& operation, CompletionSink& sink) {
  if (operation.opcode() == Opcode::kSplice) return BeginSplice(operation, sink);
  Slot& slot = slots_[operation.handle().index];
  switch (operation.opcode()) {
    case Opcode::kPoll:
      return BeginPoll(operation, slot, sink);
    case Opcode::kConnect:
      return BeginConnect(operation, slot, sink);
    default:
      break;
  }
  if (DirectionOf(operation.opcode()) == Direction::kRead) {
    DCHECK(slot.reader == nullptr);
    slot.reader = &operation;
    RunReader(slot, sink);
  } else {
    DCHECK(slot.writer == nullptr);
    slot.writer = &operation;
    RunWriter(slot, sink);
  }
}

void EpollBackend::BeginConnect(Operation& operation, Slot& slot, CompletionSink& sink) {
  const int32_t result = PerformNonBlocking(operation, slot.kind);
  if (result != kWouldBlock) return sink.Complete(operation, result);
  // What was known of the unconnected socket, which counts as hung up, means nothing any more.
  slot.readable = false;
  slot.writable = false;
  slot.short_proves_nothing = false;
  slot.writer = &operation;
  AddInterest(slot, EPOLLOUT);
}

void EpollBackend::BeginPoll(Operation& operation, Slot& slot, CompletionSink& sink) {
  const uint32_t wanted = operation.parameters().poll_events;
  const int32_t ready = PollNow(slot.fd, wanted);
  if (ready != 0) return sink.Complete(operation, ready);
  slot.waiters.PushBack(operation);
  if ((wanted & kRoom) != 0) AddInterest(slot, EPOLLOUT);
}

void EpollBackend::BeginSplice(Operation& operation, CompletionSink& sink) {
  Slot* const from = FindSlot(operation.handle());
  Slot* const to = FindSlot(operation.parameters().splice.to);
  // splice(2) does not say which side would block; the side may become ready in between.
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int32_t result = PerformNonBlocking(operation, DescriptorKind::kPipe);
    if (result != kWouldBlock) return sink.Complete(operation, result);
    if (from != nullptr && PollNow(from->fd, POLLIN) == 0) {
      return from->waiters.PushBack(operation);
    }
    if (to != nullptr && PollNow(to->fd, POLLOUT) == 0) {
      to->waiters.PushBack(operation);
      return AddInterest(*to, EPOLLOUT);
    }
  }
  sink.Complete(operation, -EAGAIN);
}

// Registers further interest; the kernel then reports what is ready already as an edge.
void EpollBackend::AddInterest(Slot& slot, uint32_t events) {
  if ((slot.interest & events) == events) return;
  slot.interest |= events;
  const auto number = static_cast<uint64_t>(&slot - slots_);
  epoll_event event = {.events = slot.interest, .data = {.u64 = number}};
  // A change of a registration that exists allocates nothing in the kernel (ep_modify).
  CHECK_EQ(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, slot.fd, &event), 0)
      << "descriptor " << slot.fd << " was closed behind the loop's back (errno " << errno << ")";
}

int32_t EpollBackend::AttemptRead(Operation& operation, Slot& slot, uint16_t* buffer_id) {
  const bool pooled = operation.pooled_buffer();
  const int32_t result = pooled ? PerformRecvPooled(operation, *buffers_, buffer_id)
                                : PerformNonBlocking(operation, slot.kind);
  const size_t size = pooled ? buffers_->buffer_size() : operation.parameters().buffer.size;
  if (result == kWouldBlock ||
      (ExhaustedBy(operation, result, size, slot.kind) && !slot.short_proves_nothing)) {
    slot.readable = false;
  }
  return result;
}

void EpollBackend::RunReader(Slot& slot, CompletionSink& sink) {
  while (slot.readable && slot.reader != nullptr) {
    Operation& operation = *slot.reader;
    if (!sink.CanTakeMore(operation)) return ComeBackTo(slot);
    uint16_t buffer_id = 0;
    const int32_t result = AttemptRead(operation, slot, &buffer_id);
    if (result == kWouldBlock) return;
    const uint8_t lent = operation.pooled_buffer() && result > 0 ? kBuffer : 0;
    const bool goes_on =
        operation.multishot() && (operation.opcode() == Opcode::kAccept ? result >= 0 : result > 0);
    if (!goes_on) slot.reader = nullptr;
    sink.Complete(operation, result, static_cast<uint8_t>(lent | (goes_on ? kMore : 0)), buffer_id);
  }
}

void EpollBackend::RunWriter(Slot& slot, CompletionSink& sink) {
  if (slot.writer == nullptr) return;
  Operation& operation = *slot.writer;
  // A Shutdown needs no room.
  if (!slot.writable && operation.opcode() != Opcode::kShutdown) {
    return AddInterest(slot, EPOLLOUT);
  }
  const bool connects = operation.opcode() == Opcode::kConnect;
  const int32_t result =
      connects ? FinishConnect(operation) : PerformNonBlocking(operation, slot.kind);
  if (result == kWouldBlock) {
    slot.writable = false;
    return AddInterest(slot, EPOLLOUT);
  }
  const size_t size = operation.parameters().buffer.size;
  if (ExhaustedBy(operation, result, size, slot.kind)) slot.writable = slot.short_proves_nothing;
  if (connects) slot.readable = true;
  slot.writer = nullptr;
  sink.Complete(operation, result);
}

void EpollBackend::RunWaiters(Slot& slot, CompletionSink& sink) {
  // Aside first: those that wait on are put back.
  IntrusiveList<Operation> waiting;
  waiting.Append(slot.waiters);
  while (Operation* operation = waiting.PopFront()) {
    if (operation->opcode() == Opcode::kSplice) {
      BeginSplice(*operation, sink);
      continue;
    }
    const int32_t ready = PollNow(slot.fd, operation->parameters().poll_events);
    if (ready == 0) {
      slot.waiters.PushBack(*operation);
    } else {
      sink.Complete(*operation, ready);
    }
  }
}

void EpollBackend::ComeBackTo(Slot& slot) {
  if (slot.on_again_list) return;
  slot.on_again_list = true;
  slot.next_again = again_;
  again_ = static_cast<uint32_t>(&slot - slots_);
}

void EpollBackend::RunAgainList(CompletionSink& sink) {
  uint32_t next = std::exchange(again_, kNoSlot);
  while (next != kNoSlot) {
    Slot& slot = slots_[next];
    next = slot.next_again;
    slot.on_again_list = false;
    RunReader(slot, sink);
  }
}

void EpollBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  if (DirectionOf(operation.opcode()) == Direction::kNone) {
    IntrusiveList<Operation>::Remove(operation);
  } else {
    Slot& slot = slots_[operation.handle().index];
    (slot.reader == &operation ? slot.reader : slot.writer) = nullptr;
  }
  // A connection that stands by now is a success (CAN-3).
  const bool connected = operation.opcode() == Opcode::kConnect && FinishConnect(operation) == 0;
  sink.Complete(operation, connected ? 0 : -ECANCELED);
}

void EpollBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  const int count = WaitForEvents(again_ == kNoSlot ? deadline_ns : 0);
  RunAgainList(sink);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.u64 != kWakeTag) OnEvent(slots_[event.data.u64], event.events, sink);
  }
}

// Waits through signals (CMP-8, TIM-6) until there are events or the deadline has passed.
int EpollBackend::WaitForEvents(int64_t deadline_ns) {
  constexpr int kCapacity = static_cast<int>(kEventsPerWait);
  while (true) {
    const int64_t left_ns = deadline_ns <= 0            ? 0
                            : deadline_ns == kForeverNs ? kForeverNs
                                                        : std::max<int64_t>(deadline_ns - Now(), 0);
    int count = 0;
    if (left_ns == 0) {
      count = ::epoll_wait(epoll_.get(), events_.data(), kCapacity, 0);
    } else if (has_pwait2_) {
      const timespec left = {.tv_sec = left_ns / kSecondNs, .tv_nsec = left_ns % kSecondNs};
      count = ::epoll_pwait2(epoll_.get(), events_.data(), kCapacity,
                             left_ns == kForeverNs ? nullptr : &left, nullptr);
    } else {
      // Rounded up: waking early would spin until the deadline (TIM-2).
      constexpr int64_t kLongestMs = std::numeric_limits<int>::max();
      const int64_t left_ms = left_ns / kMillisecondNs + (left_ns % kMillisecondNs != 0 ? 1 : 0);
      count = ::epoll_wait(
          epoll_.get(), events_.data(), kCapacity,
          left_ns == kForeverNs ? -1 : static_cast<int>(std::min<int64_t>(left_ms, kLongestMs)));
    }
    if (count > 0) return count;
    if (count < 0) {
      CHECK_EQ(errno, EINTR) << "epoll_wait";
    } else if (deadline_ns != kForeverNs && (left_ns == 0 || Now() >= deadline_ns)) {
      return 0;
    }
    if (left_ns == 0) return 0;
  }
}

void EpollBackend::OnEvent(Slot& slot, uint32_t events, CompletionSink& sink) {
  if ((events & (EPOLLIN | EPOLLPRI | kEnded)) != 0) slot.readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) slot.writable = true;
  if ((events & (EPOLLPRI | kEnded)) != 0) slot.short_proves_nothing = true;
  // First those that only look, before a read takes what they wait to see.
  RunWaiters(slot, sink);
  RunReader(slot, sink);
  RunWriter(slot, sink);
}

void EpollBackend::Wake() noexcept {
  const int saved_errno = errno;
  const uint64_t one = 1;
  // Cannot fail: the counter does not overflow in the life of a machine, and a signal does not
  // interrupt a write that does not wait.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  errno = saved_errno;
}

int64_t EpollBackend::Now() const noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

absl::Status EpollBackend::RegisterBuffers(BufferPool& pool) noexcept {
  buffers_ = &pool;
  return absl::OkStatus();
}

}  // namespace tenon::epoll
