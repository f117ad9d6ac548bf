#include "tenon/backends/asio/asio_backend.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <new>

#include "absl/log/check.h"
#include "tenon/backends/asio/own_context.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"

namespace tenon::asio {
namespace {

// Handlers run in one Wait. More are left to the next, so that handlers of the application that
// post themselves again cannot keep it.
constexpr size_t kMostHandlers = 64;

// What Asio cannot be told to sleep for.
constexpr int64_t kShortestSleepNs = kMicrosecondNs;

constexpr uint32_t kPlainEvents = POLLIN | POLLOUT | POLLPRI;
// What poll(2) calls input and room by other names.
constexpr uint32_t kOtherInput = POLLRDNORM | POLLRDBAND | POLLRDHUP;
constexpr uint32_t kOtherRoom = POLLWRNORM | POLLWRBAND;

constexpr uint8_t Bit(WaitKind kind) { return static_cast<uint8_t>(1 << static_cast<int>(kind)); }

}  // namespace

absl::StatusOr<Owned<LoopBackend>> AsioBackend::Create(const LoopOptions& options,
                                                       Allocator& allocator) noexcept {
  Owned<AsioBackend> backend = MakeOwned<AsioBackend>(allocator, options);
  if (backend == nullptr) return OutOfMemory();
  if (absl::Status status = backend->MakeContext(allocator); !status.ok()) return status;
  if (absl::Status status = backend->Init(options, allocator); !status.ok()) return status;
  // Nobody else runs this context, so the wake is awaited from the beginning.
  if (backend->wake_watch_->Arm(WaitKind::kInput) != 0) return OutOfMemory();
  return backend;
}

absl::StatusOr<Owned<LoopBackend>> AsioBackend::CreateOver(boost::asio::io_context& context,
                                                           const LoopOptions& options,
                                                           Allocator& allocator) noexcept {
  Owned<AsioBackend> backend = MakeOwned<AsioBackend>(allocator, options);
  if (backend == nullptr) return OutOfMemory();
  absl::Status status;
  backend->service_ = WatchService::Of(context, &status);
  if (backend->service_ == nullptr) return status;
  backend->context_ = &context;
  if (status = backend->Init(options, allocator); !status.ok()) return status;
  return backend;
}

absl::Status AsioBackend::MakeContext(Allocator& allocator) {
  if (absl::Status status = MakeOwnContext(own_context_); !status.ok()) return status;
  try {
    auto service = std::make_unique<WatchService>(*own_context_, allocator);
    boost::asio::add_service(*own_context_, service.get());
    service_ = service.release();
  } catch (...) {
    return StatusOfException();
  }
  context_ = &*own_context_;
  return absl::OkStatus();
}

absl::Status AsioBackend::Init(const LoopOptions& options, Allocator& allocator) {
  if (!table_.Init(allocator, options.max_handles)) return OutOfMemory();
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.ok()) return OsError(errno, "eventfd");
  absl::StatusOr<Watch*> watch = service_->Open(wake_.get(), true, *this);
  if (!watch.ok()) return std::move(watch).status();
  wake_watch_ = *watch;
  return absl::OkStatus();
}

AsioBackend::~AsioBackend() {
  if (context_is_gone()) return;
  if (own_context_.has_value()) {
    context_ = nullptr;    // or the end of the context would be reported, by a wake
    own_context_.reset();  // and all its watches, without touching the kernel
    return;
  }
  // In a forked child, slots are attached still.
  for (uint32_t slot = 0; slot < table_.used(); ++slot) {
    if (table_.fd(slot) >= 0) service_->CloseFinally(WatchOf(slot));
  }
  if (wake_watch_ != nullptr) service_->CloseFinally(*wake_watch_);
  fired_.Abandon();
}

BackendCapabilities AsioBackend::capabilities() const noexcept {
  return {.native_files = false, .multishot = true, .provided_buffers = true};
}

absl::Status AsioBackend::Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept {
  try {
    if (context_is_gone()) {
      return StatusOf(absl::StatusCode::kFailedPrecondition,
                      "the io_context that this loop ran on is destroyed");
    }
    if (kind == DescriptorKind::kFile)
      return StatusOf(absl::StatusCode::kUnimplemented, "a file: not polled");
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
  absl::StatusOr<Watch*> watch = service_->Open(fd, kind != DescriptorKind::kOther, *this);
  if (!watch.ok()) return std::move(watch).status();
  if (absl::Status status = SetNonBlocking(fd); !status.ok()) {
    service_->Close(**watch);
    return status;
  }
  (*watch)->tag = slot;
  table_.Add(slot, fd, kind);
  table_.note(slot) = reinterpret_cast<uintptr_t>(*watch);
  return absl::OkStatus();
}

void AsioBackend::Detach(uint32_t slot, int /*fd*/) noexcept {
  if (!context_is_gone()) {
    Watch& watch = WatchOf(slot);
    if (IntrusiveList<Watch>::Contains(watch)) IntrusiveList<Watch>::Remove(watch);
    service_->Close(watch);
  }
  table_.Remove(slot);
}

bool AsioBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  if (!context_is_gone()) return table_.Start(batch, sink);
  table_.CompleteAll(-ECANCELED, sink);
  while (!batch.empty()) sink.Complete(batch.Pop(), -ECANCELED);
  return false;
}

void AsioBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  // A wait that was armed for it stays: should it end, the table learns that the descriptor is
  // ready, which does no harm.
  table_.Cancel(operation, sink);
}

int32_t AsioBackend::Await(uint32_t slot, Direction direction) noexcept {
  return WatchOf(slot).Arm(direction == Direction::kRead ? WaitKind::kInput : WaitKind::kRoom);
}

// Every wait of Asio asks anew whether the descriptor is ready, so waiting for what `events` are
// not, while the descriptor is ready otherwise, would be a spin: that is refused.
int32_t AsioBackend::AwaitEvents(uint32_t slot, uint32_t events) noexcept {
  uint32_t awaited = events & kPlainEvents;
  if ((events & kOtherInput) != 0) awaited |= POLLIN;
  if ((events & kOtherRoom) != 0) awaited |= POLLOUT;
  if (awaited == 0) awaited = POLLPRI;  // of all waits the one that ends most seldom
  if ((awaited & ~events) != 0 && PollNow(table_.fd(slot), awaited) != 0) return -EOPNOTSUPP;
  Watch& watch = WatchOf(slot);
  int32_t refused = 0;
  if ((awaited & POLLIN) != 0) refused = watch.Arm(WaitKind::kInput);
  if ((awaited & POLLOUT) != 0 && refused == 0) refused = watch.Arm(WaitKind::kRoom);
  if ((awaited & POLLPRI) != 0 && refused == 0) refused = watch.Arm(WaitKind::kPriority);
  return refused;
}

void AsioBackend::OnReady(Watch& watch, WaitKind kind) noexcept {
  CHECK(::pthread_equal(::pthread_self(), owner_) != 0)
      << "SUB-6: an io_context is run by another thread than that of the loop over it";
  if (&watch == wake_watch_) {
    woken_ = true;
    return;
  }
  // The first since the last turn. Where the application runs the context, it is to turn the loop.
  if (fired_.empty() && !running_) Wake();
  watch.fired |= Bit(kind);
  if (!IntrusiveList<Watch>::Contains(watch)) fired_.PushBack(watch);
}

void AsioBackend::OnContextGone() noexcept {
  if (context_is_gone()) return;
  const bool in_child = service_->InChild();
  context_ = nullptr;
  service_ = nullptr;
  wake_watch_ = nullptr;
  fired_.Abandon();
  // Whatever is in flight is completed in the next turn. In a forked child there is none, and the
  // eventfd is the parent's.
  if (!in_child) Wake();
}

void AsioBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  if (context_is_gone()) return WaitWithoutContext(deadline_ns, sink);
  const bool ours = own_context_.has_value();
  if (!ours && context_->get_executor().running_in_this_thread()) {
    return WaitInsideRun(deadline_ns, sink);
  }
  RunContextUntil(deadline_ns, sink);
}

void AsioBackend::RunContextUntil(int64_t deadline_ns, CompletionSink& sink) {
  const bool ours = own_context_.has_value();
  if (table_.has_more() || !fired_.empty() || woken_) deadline_ns = 0;
  wake_watch_->Arm(WaitKind::kInput);
  running_ = true;
  const uint64_t before = table_.completions();
  while (true) {
    const size_t ran = RunHandlers(deadline_ns);
    table_.RunAgain(sink);
    AttemptFired(sink);
    // What the application's handlers have submitted waits for this to return.
    if (woken_ || table_.completions() != before || (!ours && ran != 0)) break;
    if (deadline_ns != kForeverNs && Now() >= deadline_ns) break;
  }
  running_ = false;
  if (woken_) {
    ForgetWakes();
    wake_watch_->Arm(WaitKind::kInput);
  }
}

// Runs handlers: the first, for which it waits until the deadline, and those that are likely to be
// ready behind it.
size_t AsioBackend::RunHandlers(int64_t deadline_ns) {
  // A context is stopped by its application, or by having run out of work.
  if (context_->stopped()) context_->restart();
  if (deadline_ns == kForeverNs) return RunBehind(context_->run_one());
  if (deadline_ns <= 0 || deadline_ns - Now() < kShortestSleepNs) {
    size_t ran = 0;
    while (ran < kMostHandlers && context_->poll_one() != 0) ++ran;
    return ran;
  }
  return RunBehind(context_->run_one_until(
      std::chrono::steady_clock::time_point(std::chrono::nanoseconds(deadline_ns))));
}

// Asio runs handlers that it knows of without asking the kernel, but does not tell how many it
// knows of, and asks in vain behind the last one. So as many are run as there were lately. Those
// left over are no loss: they are run in the next turn, without asking.
size_t AsioBackend::RunBehind(size_t ran) {
  if (ran == 0) return 0;
  while (ran < expected_ && context_->poll_one() != 0) ++ran;
  if (ran < expected_) {
    expected_ = ran;
    until_more_are_tried_ = kWaitsBetweenTries;
  } else if (ran > 1 || --until_more_are_tried_ == 0) {
    expected_ = std::min(2 * expected_, kMostHandlers);
    until_more_are_tried_ = kWaitsBetweenTries;
  }
  return ran;
}

// A turn inside a handler, while the application runs the context: takes what is there. It cannot
// wait for descriptors, since running the context would run other handlers inside of this one.
void AsioBackend::WaitInsideRun(int64_t deadline_ns, CompletionSink& sink) {
  const uint64_t before = table_.completions();
  table_.RunAgain(sink);
  AttemptFired(sink);
  const bool waits = deadline_ns > Now() && table_.completions() == before && !woken_;
  CHECK(!waits || !table_.AnyInFlight())
      << "a loop over an io_context is made to wait for descriptors inside a handler of that "
         "context: use a LoopDriver, or Loop::Poll";
  // For blocking work, as when the loop is destroyed here, and for posts.
  AwaitWake(waits ? deadline_ns : 0);
  woken_ = false;
}

void AsioBackend::WaitWithoutContext(int64_t deadline_ns, CompletionSink& sink) {
  const uint64_t before = table_.completions();
  table_.CompleteAll(-ECANCELED, sink);
  AwaitWake(table_.completions() == before ? deadline_ns : 0);
}

// Waits for a Wake until the deadline, without the context, and forgets it.
void AsioBackend::AwaitWake(int64_t deadline_ns) {
  while (true) {
    const int64_t left_ns =
        deadline_ns == kForeverNs ? kForeverNs : std::max<int64_t>(deadline_ns - Now(), 0);
    const timespec left = {.tv_sec = left_ns / kSecondNs, .tv_nsec = left_ns % kSecondNs};
    pollfd entry = {.fd = wake_.get(), .events = POLLIN, .revents = 0};
    const int count = ::ppoll(&entry, 1, left_ns == kForeverNs ? nullptr : &left, nullptr);
    if (count < 0) CHECK_EQ(errno, EINTR) << "ppoll";
    if (count > 0 || left_ns == 0) break;
  }
  ForgetWakes();
}

void AsioBackend::AttemptFired(CompletionSink& sink) {
  if (fired_.empty()) return;
  IntrusiveList<Watch> fired;
  fired.Append(fired_);
  while (Watch* watch = fired.PopFront()) {
    const uint8_t kinds = watch->fired;
    watch->fired = 0;
    table_.OnReady(watch->tag,
                   {.readable = (kinds & (Bit(WaitKind::kInput) | Bit(WaitKind::kPriority))) != 0,
                    .writable = (kinds & Bit(WaitKind::kRoom)) != 0},
                   sink);
  }
}

void AsioBackend::ForgetWakes() {
  woken_ = false;
  uint64_t count = 0;
  // Fails only where there is none.
  [[maybe_unused]] const ssize_t read = ::read(wake_.get(), &count, sizeof(count));
}

void AsioBackend::Wake() noexcept {
  const int saved_errno = errno;
  const uint64_t one = 1;
  // Cannot fail: the counter does not overflow in the life of a machine, and a signal does not
  // interrupt a write that does not wait.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  errno = saved_errno;
}

absl::StatusOr<int> AsioBackend::PollFd() noexcept {
  if (!own_context_.has_value()) return wake_.get();
  try {
    return StatusOf(
        absl::StatusCode::kUnimplemented,
        "PollFd: Asio does not show its epoll instance; make the loop over an io_context that the "
        "foreign loop runs (asio::ContextFactory), or choose another backend");
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

int64_t AsioBackend::Now() const noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

absl::Status AsioBackend::RegisterBuffers(BufferPool& pool) noexcept {
  table_.SetBuffers(pool);
  return absl::OkStatus();
}

}  // namespace tenon::asio
