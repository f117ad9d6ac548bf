// A mutex for allocators.

#ifndef TENON_ALLOC_THREADS_LOCK_H_
#define TENON_ALLOC_THREADS_LOCK_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace tenon::alloc {

// A mutex that takes no memory, neither where a thread uses its first nor where threads wait for
// it. Abseil's does, and ends the process where there is none (ALC-13).
class ABSL_LOCKABLE Lock {
 public:
  constexpr Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void Acquire() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Release() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
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
