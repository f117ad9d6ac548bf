// A mutex for allocators.

#ifndef TENON_ALLOC_THREADS_LOCK_H_
#define TENON_ALLOC_THREADS_LOCK_H_

#include <atomic>
#include <cstdint>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include "absl/base/thread_annotations.h"

namespace tenon::alloc {

// A mutex that takes no memory, neither where a thread uses its first nor where threads wait for
// it. Abseil's does, and ends the process where there is none (ALC-13).
//
// Nor is it the C library's, which spends some fifty instructions on finding out what kind of mutex
// it was given, and lets a thread sleep at once that would have had to wait for some ten
// nanoseconds: what an allocator does under its lock is shorter than that thread's way into the
// kernel and back. Here taking it and giving it back is one atomic exchange each, and a plain store
// while the process has no other thread; a thread that finds it taken looks again for some ten
// microseconds, less and less often, before it sleeps. It is not fair: whoever holds it may well be
// the next to have it.
//
// Preserves errno, also where it has to wait.
class ABSL_LOCKABLE Lock {
 public:
  constexpr Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void Acquire() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    if (!TryAcquire()) [[unlikely]]
      AcquireSlowly();
  }
  void Release() ABSL_UNLOCK_FUNCTION() {
    if (IsOnlyThread()) {
      state_.store(State::kFree, std::memory_order_release);
    } else if (state_.exchange(State::kFree, std::memory_order_release) == State::kAwaited)
        [[unlikely]] {
      WakeOne();
    }
  }

 private:
  // Drepper, "Futexes Are Tricky" (2011), mutex2.
  enum class State : uint32_t {
    kFree,
    kHeld,
    kAwaited,  // held, and a thread may be asleep
  };

  // Whether the process has surely no thread but this one. A thread that starts while the lock is
  // held finds it so.
  static bool IsOnlyThread() noexcept {
#if __has_include(<sys/single_threaded.h>)
    return __libc_single_threaded != 0;
#else
    return false;
#endif
  }

  bool TryAcquire() noexcept {
    State expected = State::kFree;
    if (IsOnlyThread() && state_.load(std::memory_order_relaxed) == expected) {
      state_.store(State::kHeld, std::memory_order_relaxed);
      return true;
    }
    return state_.compare_exchange_strong(expected, State::kHeld, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void AcquireSlowly() noexcept;
  void WakeOne() noexcept;

  std::atomic<State> state_{State::kFree};
};

// Holds a Lock while it is in scope.
class ABSL_SCOPED_LOCKABLE Locked {
 public:
  explicit Locked(Lock& lock) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock) : lock_(lock) { lock_.Acquire(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() ABSL_UNLOCK_FUNCTION() { lock_.Release(); }

 private:
  Lock& lock_;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_THREADS_LOCK_H_
