// For what must not go away while a call that frees is inside it.

#ifndef TENON_ALLOC_THREADS_FREES_UNDER_WAY_H_
#define TENON_ALLOC_THREADS_FREES_UNDER_WAY_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace tenon::alloc {

// How many calls that free are under way: for decorators that keep no ThreadCounters, which know it
// as well.
//
// Threads: any.
class FreesUnderWay {
 public:
  // A call begins, before its first use of what is protected, and ends, after its last.
  void Begin() noexcept { frees_.fetch_add(1, std::memory_order_relaxed); }
  void End() noexcept { frees_.fetch_sub(1, std::memory_order_release); }

  // Returns once every call has ended that has begun as far as the calling thread can know; what
  // they did happens before it returns.
  void Wait() const noexcept {
    while (frees_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

 private:
  std::atomic<uint64_t> frees_{0};
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_THREADS_FREES_UNDER_WAY_H_
