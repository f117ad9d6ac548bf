#include "tenon/backends/epoll/epoll_backend.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

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
  if (!table_.Init(allocator, options.max_handles)) return OutOfMemory();

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

BackendCapabilities EpollBackend::capabilities() const noexcept {
  return {.native_files = false, .multishot = true, .provided_buffers = true};
}

absl::Status EpollBackend::Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept {
  epoll_event event = {.events = kInput, .data = {.u64 = slot}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    if (errno == EPERM)
      return StatusOf(absl::StatusCode::kUnimplemented, "epoll_ctl: cannot be polled");
    return OsError(errno, "epoll_ctl(EPOLL_CTL_ADD)",
                   errno == ENOSPC ? "the user's limit on watches is reached; raise sysctl "
                                     "fs.epoll.max_user_watches"
                                   : "");
  }
  if (absl::Status status = SetNonBlocking(fd); !status.ok()) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    return status;
  }
  table_.Add(slot, fd, kind);
  table_.note(slot) = kInput;
  return absl::OkStatus();
}

void EpollBackend::Detach(uint32_t slot, int fd) noexcept {
  // Closing alone would leave the registration of a file description that lives on elsewhere.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  table_.Remove(slot);
}

bool EpollBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  return table_.Start(batch, sink);
}

void EpollBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  table_.Cancel(operation, sink);
}

// Input is registered from the beginning.
int32_t EpollBackend::Await(uint32_t slot, Direction direction) noexcept {
  if (direction == Direction::kWrite) AddInterest(slot, EPOLLOUT);
  return 0;
}

int32_t EpollBackend::AwaitEvents(uint32_t slot, uint32_t events) noexcept {
  if ((events & kRoom) != 0) AddInterest(slot, EPOLLOUT);
  return 0;
}

// Registers further interest; the kernel then reports what is ready already as an edge.
void EpollBackend::AddInterest(uint32_t slot, uint32_t events) {
  uintptr_t& interest = table_.note(slot);
  if ((interest & events) == events) return;
  interest |= events;
  epoll_event event = {.events = static_cast<uint32_t>(interest), .data = {.u64 = slot}};
  // A change of a registration that exists allocates nothing in the kernel (ep_modify).
  CHECK_EQ(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, table_.fd(slot), &event), 0)
      << "descriptor " << table_.fd(slot) << " was closed behind the loop's back (errno " << errno
      << ")";
}

void EpollBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  const int count = WaitForEvents(table_.has_more() ? 0 : deadline_ns);
  table_.RunAgain(sink);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<size_t>(i)];
    if (event.data.u64 == kWakeTag) continue;
    const uint32_t seen = event.events;
    table_.OnReady(static_cast<uint32_t>(event.data.u64),
                   {.readable = (seen & (EPOLLIN | EPOLLPRI | kEnded)) != 0,
                    .writable = (seen & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
                    .short_proves_nothing = (seen & (EPOLLPRI | kEnded)) != 0},
                   sink);
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
  table_.SetBuffers(pool);
  return absl::OkStatus();
}

}  // namespace tenon::epoll
