// A heap of its own for one loop, by jemalloc.

#ifndef TENON_ALLOC_JEMALLOC_JEMALLOC_ARENA_H_
#define TENON_ALLOC_JEMALLOC_JEMALLOC_ARENA_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "tenon/alloc/jemalloc/arena_handle.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/owned.h"

namespace tenon::alloc {

// Allocates from a jemalloc arena that serves nothing else. It belongs to the thread that is the
// first to allocate from it: that one goes through a cache of the arena's own. All others go past
// every cache, so that a block that they free is at once its arena's again, and never comes up in
// another arena's allocation (ALC-7).
//
// Ownership: blocks may be live when it is destroyed; they are released (`bulk_release`).
// Threads: any (`thread_safe`, `foreign_free`). Once the owning thread has ended, a later thread
//   may inherit the cache: that which is given its ThreadNumber().
// Shutdown: unmaps all of its memory, after the frees that have begun on other threads have ended
//   (ALC-10). An allocation under way, or a free that begins later, is the caller's error. Debug
//   builds die with a message where a block is freed twice, was not allocated here or has another
//   layout (ALC-9).
//
//   absl::StatusOr<Owned<JemallocArena>> arena = JemallocArena::Create(system);
//   if (!arena.ok()) return arena.status();
class JemallocArena final : public Allocator {
 public:
  // Makes one in `memory`, which must outlive it. ResourceExhausted without a message, and nothing
  // left behind, where there is no memory or jemalloc has no further arena or cache (ALC-4).
  static absl::StatusOr<Owned<JemallocArena>> Create(Allocator& memory) noexcept;

  explicit JemallocArena(ArenaHandle handle) : handle_(std::move(handle)) {}
  JemallocArena(const JemallocArena&) = delete;
  JemallocArena& operator=(const JemallocArena&) = delete;
  ~JemallocArena() override;

  // Different from that of every other arena, dead ones included (ALC-11).
  ArenaId id() const { return handle_.id(); }

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true, .bulk_release = true, .statistics = true};
  }

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;

  // jemalloc's flags for a call of the thread with this number.
  int Where(uint32_t number) const {
    return number == owner_.load(std::memory_order_relaxed) ? cached_ : uncached_;
  }
  LiveBlockOwner Blocks() const { return {.name = "jemalloc_arena", .id = this}; }

  ArenaHandle handle_;
  const int cached_ = handle_.cached_flags();
  const int uncached_ = handle_.uncached_flags();
  // Whose the cache is: the number of a thread. Threads without a number never own it.
  std::atomic<uint32_t> owner_{kNobody};
  ThreadCounters counters_;
};

namespace jemalloc_arena {

// "jemalloc_arena", without options.
const AllocatorFactory& Factory();

}  // namespace jemalloc_arena
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_JEMALLOC_JEMALLOC_ARENA_H_
