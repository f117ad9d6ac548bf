#include "tenon/backends/asio/watch.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "absl/log/check.h"
#include "tenon/backends/asio/own_context.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::asio {
namespace {

// The process's heap, for a context that outlives every allocator of a loop.
class ProcessHeap final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    void* const block =
        ::operator new(layout.size, std::align_val_t(layout.alignment), std::nothrow);
    return {.ptr = block, .size = block == nullptr ? 0 : layout.size};
  }
  void Deallocate(void* block, Layout layout) noexcept override {
    const int saved_errno = errno;
    ::operator delete(block, std::align_val_t(layout.alignment));
    errno = saved_errno;
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true};
  }

  static ProcessHeap& Get() {
    static constinit ProcessHeap heap;
    return heap;
  }
};

constexpr Layout kWatchLayout = {.size = sizeof(Watch), .alignment = alignof(Watch)};

absl::Status RefusedRegistration(int error) {
  if (error == EPERM)
    return StatusOf(absl::StatusCode::kUnimplemented, "epoll_ctl: cannot be polled");
  return OsError(error, "epoll_ctl(EPOLL_CTL_ADD)",
                 error == ENOSPC ? "the user's limit on watches is reached; raise sysctl "
                                   "fs.epoll.max_user_watches"
                                 : "");
}

// Asio registers what cannot be polled as if it could, and keeps memory for what is refused: where
// either is to be feared, an epoll instance of our own is asked first.
absl::Status TryOut(int fd) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) return OsError(errno, "epoll_create1");
  epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) return RefusedRegistration(errno);
  return absl::OkStatus();
}

}  // namespace

// Gives a wait the memory of its watch.
template <typename T>
class WaitAllocator {
 public:
  using value_type = T;

  WaitAllocator(Watch* watch, WaitKind kind) : watch_(watch), kind_(kind) {}
  template <typename U>
  WaitAllocator(const WaitAllocator<U>& other)  // NOLINT: allocators convert
      : watch_(other.watch_), kind_(other.kind_) {}

  T* allocate(size_t count) {
    static_assert(sizeof(T) <= Watch::kWaitSize && alignof(T) <= alignof(std::max_align_t));
    return static_cast<T*>(watch_->TakeMemory(kind_, count * sizeof(T)));
  }
  void deallocate(T* /*memory*/, size_t /*count*/) { watch_->Memory(kind_).in_use = false; }

  template <typename U>
  bool operator==(const WaitAllocator<U>& other) const {
    return watch_ == other.watch_ && kind_ == other.kind_;
  }

 private:
  template <typename U>
  friend class WaitAllocator;

  Watch* watch_;
  WaitKind kind_;
};

// What Asio calls when a wait has ended, and what tells it where its memory is.
struct WaitHandler {
  using allocator_type = WaitAllocator<std::byte>;

  allocator_type get_allocator() const noexcept { return {watch, kind}; }
  // Whatever the error: a wait that was cancelled belongs to a closed watch, and for any other the
  // attempt that follows finds out.
  void operator()(const boost::system::error_code& /*error*/) const noexcept {
    watch->OnWaitEnded(kind);
  }

  Watch* watch;
  WaitKind kind;
};

int32_t Watch::Arm(WaitKind kind) noexcept {
  if (armed(kind)) return 0;
  using boost::asio::posix::descriptor_base;
  constexpr descriptor_base::wait_type kTypes[] = {
      descriptor_base::wait_read, descriptor_base::wait_write, descriptor_base::wait_error};
  try {
    descriptor_.async_wait(kTypes[static_cast<size_t>(kind)], WaitHandler{this, kind});
  } catch (...) {
    return -ENOMEM;
  }
  return 0;
}

void* Watch::TakeMemory(WaitKind kind, size_t size) {
  WaitMemory& memory = Memory(kind);
  if (memory.in_use || size > kWaitSize) throw std::bad_alloc();
  memory.in_use = true;
  return memory.bytes.data();
}

void Watch::OnWaitEnded(WaitKind kind) noexcept {
  if (client_ != nullptr) {
    client_->OnReady(*this, kind);
  } else if (!AnyArmed()) {
    service_.Recycle(*this);
  }
}

void Watch::Disown() {
  client_ = nullptr;
  ++generation_;
}

bool Watch::AnyArmed() const {
  for (const WaitMemory& memory : memory_) {
    if (memory.in_use) return true;
  }
  return false;
}

boost::asio::execution_context::id WatchService::id;

WatchService::WatchService(boost::asio::io_context& context)
    : WatchService(context, ProcessHeap::Get()) {}

WatchService::WatchService(boost::asio::io_context& context, Allocator& allocator)
    : boost::asio::execution_context::service(context),
      context_(context),
      allocator_(allocator),
      process_(::getpid()) {
  // Makes the services that descriptors need, so that they are destroyed after this one.
  Watch::Descriptor first(context.get_executor());
}

WatchService::~WatchService() {
  while (made_ != nullptr) {
    Watch& watch = *made_;
    made_ = watch.next_made_;
    // Asio's reactor is shut down by now: this deregisters nothing. Without it the destructor would
    // close a descriptor that is not ours.
    if (watch.descriptor_.is_open()) watch.descriptor_.release();
    watch.~Watch();
    allocator_.Deallocate(&watch, kWatchLayout);
  }
}

WatchService* WatchService::Of(boost::asio::io_context& context, absl::Status* status) noexcept {
  try {
    return &boost::asio::use_service<WatchService>(context);
  } catch (...) {
    *status = StatusOfException();
    return nullptr;
  }
}

absl::StatusOr<Watch*> WatchService::Open(int fd, bool pollable, WatchClient& client) noexcept {
  try {
    if (!pollable || refused_) {
      if (absl::Status status = TryOut(fd); !status.ok()) return status;
    }
    Watch* const watch = Take();
    if (watch == nullptr) return OutOfMemory();
    boost::system::error_code error;
    try {
      watch->descriptor_.assign(fd, error);
    } catch (...) {
      Recycle(*watch);
      return StatusOfException();
    }
    refused_ = error.failed();
    if (refused_) {
      Recycle(*watch);
      return RefusedRegistration(error.value());
    }
    watch->client_ = &client;
    watch->tag = 0;
    watch->fired = 0;
    return watch;
  } catch (const std::bad_alloc&) {  // from the making of a message
    return OutOfMemory();
  }
}

void WatchService::Close(Watch& watch) noexcept {
  DCHECK(watch.client_ != nullptr);
  watch.Disown();
  watch.descriptor_.release();
  if (!watch.AnyArmed()) Recycle(watch);
}

bool WatchService::InChild() const { return process_ != ::getpid(); }

void WatchService::CloseFinally(Watch& watch) noexcept {
  if (!InChild()) return Close(watch);
  watch.Disown();
}

Watch* WatchService::Take() {
  if (Watch* const watch = free_; watch != nullptr) {
    free_ = watch->next_free_;
    return watch;
  }
  const Block block = allocator_.Allocate(kWatchLayout);
  if (block.ptr == nullptr) return nullptr;
  auto* const watch = ::new (block.ptr) Watch(*this, context_);
  watch->next_made_ = made_;
  made_ = watch;
  return watch;
}

void WatchService::Recycle(Watch& watch) {
  watch.next_free_ = free_;
  free_ = &watch;
}

void WatchService::shutdown() {
  for (Watch* watch = made_; watch != nullptr; watch = watch->next_made_) {
    if (watch->client_ == nullptr) continue;
    WatchClient& client = *watch->client_;
    watch->Disown();
    client.OnContextGone();
  }
}

void WatchService::notify_fork(boost::asio::execution_context::fork_event event) {
  // Asio has made another epoll instance by now.
  if (event == boost::asio::execution_context::fork_child) process_ = ::getpid();
}

}  // namespace tenon::asio
