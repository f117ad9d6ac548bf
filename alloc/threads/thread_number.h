// Small numbers for the threads that live now.

#ifndef TENON_ALLOC_THREADS_THREAD_NUMBER_H_
#define TENON_ALLOC_THREADS_THREAD_NUMBER_H_

#include <cstdint>

namespace tenon::alloc {

// How many threads can have a number at the same time.
inline constexpr uint32_t kMaxNumberedThreads = 256;

// What those have that came when all numbers were taken, and those that are ending and have given
// theirs back.
inline constexpr uint32_t kNoThreadNumber = kMaxNumberedThreads;

namespace internal {
inline constexpr uint32_t kNotAsked = UINT32_MAX;
inline thread_local constinit uint32_t thread_number = kNotAsked;
uint32_t TakeThreadNumber() noexcept;
}  // namespace internal

// The calling thread's number, in [0, kMaxNumberedThreads), or kNoThreadNumber. It is the smallest
// that no live thread has, remains the same, is held by no other thread meanwhile, and is given
// back when the thread ends, after its thread_local objects are gone. What the last holder of a
// number did happens before whatever the next one does, so that state kept for each number needs no
// synchronisation among its holders.
//
// In a child of fork(2), the numbers of the threads that are not there are given back. What they
// were doing with their state at that moment remains half done: such state must not be used again.
//
// Never fails for want of memory: a thread that cannot be given a number has none. Preserves errno.
//
// Threads: any.
inline uint32_t ThreadNumber() noexcept {
  const uint32_t number = internal::thread_number;
  return number != internal::kNotAsked ? number : internal::TakeThreadNumber();
}

// The same, but that a thread which has not asked for its number is not given one: what is not
// below kMaxNumberedThreads says no more than that ThreadNumber() has to be asked. One comparison
// for those whose usual case is a thread with a number.
inline uint32_t ThreadNumberIfTaken() noexcept { return internal::thread_number; }

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_THREADS_THREAD_NUMBER_H_
