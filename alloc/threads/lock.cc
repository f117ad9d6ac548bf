#include "tenon/alloc/threads/lock.h"

#include <cerrno>

namespace tenon::alloc {
namespace {

// A few dozen cycles in which a processor's other thread has it for itself.
void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Lock::AcquireSlowly() noexcept {
  // Whoever has it keeps its cache line for itself in the meantime.
  constexpr int kMaxPauses = 256;
  constexpr int kLooks = 4;
  int pauses = 64;
  for (int look = 0; look < kLooks; ++look) {
    for (int i = 0; i < pauses; ++i) Pause();
    if (pauses < kMaxPauses) pauses *= 2;
    if (state_.load(std::memory_order_relaxed) == State::kFree && TryAcquire()) return;
  }
  const int saved_errno = errno;
  // Others may be asleep as well: who comes from here leaves it to be released with a wake.
  while (state_.exchange(State::kAwaited, std::memory_order_acquire) != State::kFree) {
    state_.wait(State::kAwaited, std::memory_order_relaxed);
  }
  errno = saved_errno;
}

void Lock::WakeOne() noexcept {
  const int saved_errno = errno;
  state_.notify_one();
  errno = saved_errno;
}

}  // namespace tenon::alloc
