#include "tenon/core/loop/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/mutation.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"

namespace tenon {
namespace {

absl::StatusOr<DescriptorKind> KindOf(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) {
    return StatusOf(absl::StatusCode::kInvalidArgument, "Adopt: ", fd,
                    " is not an open descriptor (fstat failed)");
  }
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) {
    return DescriptorKind::kFile;
  }
  if (S_ISFIFO(status.st_mode)) return DescriptorKind::kPipe;
  if (!S_ISSOCK(status.st_mode)) return DescriptorKind::kOther;
  int protocol = 0;
  socklen_t length = sizeof(protocol);
  const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0;
  return known && protocol == IPPROTO_TCP ? DescriptorKind::kTcpSocket
                                          : DescriptorKind::kOtherSocket;
}

}  // namespace

absl::StatusOr<Owned<Loop>> Loop::Create(const LoopBackendFactory& factory,
                                         const LoopOptions& options,
                                         Allocator& allocator) noexcept {
  if (absl::Status status = options.Validate(); !status.ok()) return status;
  Owned<Loop> loop = MakeOwned<Loop>(allocator, options, allocator);
  if (loop == nullptr) return OutOfMemory();
  if (absl::Status status = loop->Init(factory); !status.ok()) return status;
  return loop;
}

Loop::Loop(const LoopOptions& options, Allocator& allocator)
    : allocator_(allocator),
      options_(options),
      owner_(::pthread_self()),
      accept_timer_([](Operation&) {}),
      sink_(ready_) {}

absl::Status Loop::Init(const LoopBackendFactory& factory) {
  if (absl::Status status = fork_guard_.Init(); !status.ok()) return status;
  if (!handles_.Init(allocator_, options_.max_handles)) return OutOfMemory();
  absl::StatusOr<Owned<LoopBackend>> backend = factory.Create(options_, allocator_);
  if (!backend.ok()) return std::move(backend).status();
  const auto notify = [](void* loop) { static_cast<Loop*>(loop)->WakeIfAsleep(); };
  absl::Status status =
      work_pool_.Start(allocator_, options_.work_threads, &PerformBlocking, notify, this);
  if (!status.ok()) return status;
  backend_ = *std::move(backend);
  backend_name_ = factory.name();
  capabilities_ = backend_->capabilities();
  return absl::OkStatus();
}

Loop::~Loop() {
  if (backend_ == nullptr) return;  // Create failed; the members roll themselves back.
  if (fork_guard_.InChild()) {
    AbandonInChild();
    return;
  }
  CHECK(!in_turn_) << "TD-7: a loop is destroyed inside one of its callbacks";
  const absl::Status drained = Drain();
  CHECK(drained.ok()) << drained;
  // A thread whose task has run may still be inside Post.
  while (callers_.load(std::memory_order_acquire) != 0) {
    if (Mutated(LoopMutation::kDestroyedDuringWake)) break;
    sched_yield();
  }
  // What they left, and what comes of it.
  while (!Idle()) RunOnce(0);
}

void Loop::CheckNotForked() const {
  CHECK(!fork_guard_.InChild())
      << "INIT-7: a loop is used in a forked child; the child must create its own";
}

void Loop::CheckUsable() const {
  CheckNotForked();
  CHECK(::pthread_equal(::pthread_self(), owner_) || Mutated(LoopMutation::kNoThreadCheck))
      << "SUB-6: a loop is used on another thread than its own; use Post";
}

absl::StatusOr<Handle> Loop::Adopt(UniqueFd fd) noexcept {
  if (fork_guard_.InChild()) {
    return StatusOf(absl::StatusCode::kFailedPrecondition,
                    "Adopt: the loop belongs to the parent process");
  }
  CheckUsable();
  if (draining_)
    return StatusOf(absl::StatusCode::kFailedPrecondition, "Adopt: the loop is draining");
  absl::StatusOr<DescriptorKind> kind = KindOf(fd.get());
  if (!kind.ok()) return std::move(kind).status();
  const uint32_t index = handles_.Take();
  if (index == Handle::kNoIndex) {
    return StatusOf(absl::StatusCode::kResourceExhausted, "Adopt: all ", options_.max_handles,
                    " handles are open; close some or raise LoopOptions::max_handles");
  }
  HandleSlot& slot = handles_[index];
  if (*kind != DescriptorKind::kFile || capabilities_.native_files) {
    absl::Status status = backend_->Attach(index, fd.get(), *kind);
    slot.attached = status.ok();
    if (absl::IsUnimplemented(status) && *kind == DescriptorKind::kOther) {
      // A device that is always ready, such as /dev/null, is as good as a file.
      kind = DescriptorKind::kFile;
    } else if (!status.ok()) {
      handles_.Free(index);
      return status;
    }
  }
  slot.fd = fd.Release();
  slot.kind = *kind;
  return handles_.HandleOf(index);
}

int Loop::Descriptor(Handle handle) const noexcept {
  CheckUsable();
  const HandleSlot* slot = handles_.Find(handle);
  return slot == nullptr ? -1 : slot->fd;
}

absl::Status Loop::RegisterBuffers(uint32_t count, uint32_t size) noexcept {
  CheckUsable();
  if (!capabilities_.provided_buffers) {
    return StatusOf(absl::StatusCode::kUnimplemented, "RegisterBuffers: backend ", backend_name_,
                    " has no provided buffers");
  }
  if (buffers_.ok())
    return StatusOf(absl::StatusCode::kFailedPrecondition, "RegisterBuffers: called before");
  if (count < 1 || count > BufferPool::kMaxCount || size < 1) {
    return StatusOf(absl::StatusCode::kInvalidArgument, "RegisterBuffers: ", count, " buffers of ",
                    size, " bytes; 1 to ", BufferPool::kMaxCount, " of at least 1 are possible");
  }
  BufferPool buffers = BufferPool::Create(allocator_, count, size);
  if (!buffers.ok()) return OutOfMemory();
  buffers_ = std::move(buffers);
  absl::Status status = backend_->RegisterBuffers(buffers_);
  if (!status.ok()) buffers_ = BufferPool();
  return status;
}

absl::Span<char> Loop::Buffer(uint16_t buffer_id) noexcept {
  CheckUsable();
  return buffers_.Bytes(buffer_id);
}

void Loop::ReturnBuffer(uint16_t buffer_id) noexcept {
  CheckUsable();
  buffers_.Return(buffer_id);
  backend_->ReturnBuffer(buffer_id);
}

// A call from any thread: refused in a forked child, and counted, so that the destructor waits
// until it is over. What it does may lead to the loop's destruction before it has returned (WAK-2).
class Loop::ForeignCall {
 public:
  explicit ForeignCall(Loop& loop) : callers_(loop.callers_) {
    loop.CheckNotForked();
    callers_.fetch_add(1, std::memory_order_acquire);
  }
  ~ForeignCall() { callers_.fetch_sub(1, std::memory_order_release); }

 private:
  std::atomic<uint32_t>& callers_;
};

bool Loop::Post(PostedTask& task) noexcept {
  const ForeignCall call(*this);
  const bool posted = posted_.Push(task);
  if (posted) WakeIfAsleep();
  return posted;
}

void Loop::Stop() noexcept {
  const ForeignCall call(*this);
  stop_requested_.store(true, std::memory_order_seq_cst);
  wake_requested_.store(true, std::memory_order_seq_cst);
  WakeIfAsleep();
}

void Loop::Wake() noexcept {
  const ForeignCall call(*this);
  wake_requested_.store(true, std::memory_order_seq_cst);
  WakeIfAsleep();
}

// Whoever finds the loop asleep wakes it; others need not (WAK-3). The loop looks at what was
// written before this only after it has declared itself asleep, so one of the two notices (WAK-1).
void Loop::WakeIfAsleep() {
  // While the loop is awake, as it is while others post to it in a row, a look does: an exchange
  // would take its cache line away from it each time.
  if (!sleeping_.load(std::memory_order_seq_cst)) return;
  if (!sleeping_.exchange(false, std::memory_order_seq_cst)) return;
  remote_wakes_.fetch_add(1, std::memory_order_relaxed);
  backend_->Wake();
}

void Loop::SetObserver(LoopObserver* observer) noexcept {
  CheckUsable();
  observer_ = observer;
}

LoopStats Loop::Stats() const noexcept {
  CheckUsable();
  LoopStats stats = stats_;
  stats.wakes = remote_wakes_.load(std::memory_order_relaxed);
  stats.pending = pending_;
  stats.queued = queued_.size();
  stats.open_handles = handles_.taken();
  stats.buffers_lent = buffers_.lent();
  return stats;
}

OwnedHandle::OwnedHandle(Loop& loop, Handle handle) : loop_(&loop), handle_(handle) {
  HandleSlot* slot = loop.handles_.Find(handle);
  CHECK(slot != nullptr && slot->owner == nullptr) << "a handle that is stale or owned already";
  slot->owner = this;
}

OwnedHandle::OwnedHandle(OwnedHandle&& other) noexcept { *this = std::move(other); }

OwnedHandle& OwnedHandle::operator=(OwnedHandle&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  Loop* const loop = other.loop_;
  if (loop == nullptr) return *this;
  handle_ = other.Release();
  loop_ = loop;
  loop->handles_.Find(handle_)->owner = this;
  return *this;
}

Handle OwnedHandle::Release() {
  if (loop_ == nullptr) return {};
  if (HandleSlot* slot = loop_->handles_.Find(handle_); slot != nullptr) slot->owner = nullptr;
  loop_ = nullptr;
  return handle_;
}

void OwnedHandle::Reset() {
  if (loop_ == nullptr) return;
  Loop& loop = *loop_;
  loop.Close(Release());
}

}  // namespace tenon
