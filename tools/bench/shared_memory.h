// One object in memory that a process shares with those it forks.

#ifndef TENON_TOOLS_BENCH_SHARED_MEMORY_H_
#define TENON_TOOLS_BENCH_SHARED_MEMORY_H_

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tenon::bench {

// Ownership: owns the mapping in the process that it is destroyed in; each process has its own
//   mapping of the same memory. Move-only.
template <typename T>
class SharedMemory {
 public:
  // A new T. The kernel's refusal.
  static absl::StatusOr<SharedMemory> Create() {
    static_assert(std::is_trivially_destructible_v<T>, "nobody knows who would be the last");
    void* memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap of shared memory");
    return SharedMemory(new (memory) T);
  }

  SharedMemory(SharedMemory&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory() {
    if (object_ != nullptr) munmap(object_, sizeof(T));
  }

  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

 private:
  explicit SharedMemory(T* object) : object_(object) {}

  T* object_;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SHARED_MEMORY_H_
