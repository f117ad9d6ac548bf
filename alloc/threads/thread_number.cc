#include "tenon/alloc/threads/thread_number.h"

#include <pthread.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/threads/lock.h"

namespace tenon::alloc {
namespace {

constexpr size_t kBits = 64;
static_assert(kMaxNumberedThreads % kBits == 0);

constinit Lock lock;
// A bit for each number that a thread has.
constinit std::array<uint64_t, kMaxNumberedThreads / kBits> taken ABSL_GUARDED_BY(lock) = {};

uint32_t Take() {
  const Locked locked(lock);
  for (size_t word = 0; word < taken.size(); ++word) {
    const auto bit = static_cast<size_t>(std::countr_one(taken[word]));
    if (bit == kBits) continue;
    taken[word] |= uint64_t{1} << bit;
    return static_cast<uint32_t>(word * kBits + bit);
  }
  return kNoThreadNumber;
}

void Return(uint32_t number) {
  const Locked locked(lock);
  taken[number / kBits] &= ~(uint64_t{1} << (number % kBits));
}

// The value of the key is the number and one, as null would not be told about.
void OnThreadEnd(void* value) {
  internal::thread_number = kNoThreadNumber;
  Return(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(value) - 1));
}

void BeforeFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { lock.Acquire(); }
void InTheParent() ABSL_NO_THREAD_SAFETY_ANALYSIS { lock.Release(); }

// None of the threads is there but this one.
void InTheChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  taken = {};
  const uint32_t own = internal::thread_number;
  if (own < kMaxNumberedThreads) taken[own / kBits] |= uint64_t{1} << (own % kBits);
  lock.Release();
}

// A key and not a thread_local object: registering the destructor of one takes memory, and ends the
// process where there is none.
struct Key {
  Key() {
    ok = pthread_key_create(&key, &OnThreadEnd) == 0 &&
         pthread_atfork(&BeforeFork, &InTheParent, &InTheChild) == 0;
  }
  pthread_key_t key;
  bool ok;
};

// Takes a number and has it returned when the thread ends.
uint32_t TakeUntilTheEnd() {
  static const Key key;
  if (!key.ok) return kNoThreadNumber;
  const uint32_t number = Take();
  if (number == kNoThreadNumber) return kNoThreadNumber;
  if (pthread_setspecific(key.key, reinterpret_cast<void*>(uintptr_t{number} + 1)) != 0) {
    Return(number);
    return kNoThreadNumber;
  }
  return number;
}

}  // namespace

uint32_t internal::TakeThreadNumber() noexcept {
  const int saved_errno = errno;  // It may be a free that asks.
  thread_number = kNoThreadNumber;
  thread_number = TakeUntilTheEnd();
  errno = saved_errno;
  return thread_number;
}

}  // namespace tenon::alloc
