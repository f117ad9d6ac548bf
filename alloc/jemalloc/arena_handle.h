// A jemalloc arena and an explicit cache for it, as one resource.

#ifndef TENON_ALLOC_JEMALLOC_ARENA_HANDLE_H_
#define TENON_ALLOC_JEMALLOC_ARENA_HANDLE_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"

namespace tenon::alloc {

// Names an arena for as long as the process runs. jemalloc gives the index of a destroyed arena to
// the next that is created; no two arenas have the same generation (ALC-11).
struct ArenaId {
  uint32_t index = 0;
  uint64_t generation = 0;

  friend bool operator==(const ArenaId&, const ArenaId&) = default;
};

// Owns an arena of jemalloc's and a thread cache that no thread uses by itself. Move-only.
//
// Threads: any for Create; the rest one at a time.
class ArenaHandle {
 public:
  // ResourceExhausted without a message where jemalloc has no memory for them, or has as many as it
  // can have (some 4,000 of each); nothing is left behind then. Takes some 50 microseconds.
  static absl::StatusOr<ArenaHandle> Create() noexcept;

  ArenaHandle(ArenaHandle&& other) noexcept { *this = std::move(other); }
  ArenaHandle& operator=(ArenaHandle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(cache_, other.cache_);
    return *this;
  }
  // Unmaps everything that the arena holds (ALC-10). REQUIRES: nothing uses the arena any more.
  ~ArenaHandle();

  ArenaId id() const { return id_; }

  // Flags for jemalloc(3)'s *allocx functions: in this arena, through the cache or past every
  // cache.
  int cached_flags() const;
  int uncached_flags() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  ArenaHandle() = default;

  ArenaId id_{.index = kNone};
  uint32_t cache_ = kNone;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_JEMALLOC_ARENA_HANDLE_H_
