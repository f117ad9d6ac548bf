#include "tenon/alloc/jemalloc/arena_handle.h"

#include <cstddef>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "jemalloc/jemalloc.h"
#include "tenon/alloc/generation/generation.h"

namespace tenon::alloc {
namespace {

// Creates what the name stands for and stores its index. False where there is no more.
bool CreateNumbered(const char* name, uint32_t& index) {
  unsigned created = 0;
  size_t size = sizeof(created);
  if (je_mallctl(name, &created, &size, nullptr, 0) != 0) return false;
  index = created;
  return true;
}

int DestroyArena(uint32_t index) {
  size_t mib[3];
  size_t length = 3;
  const int error = je_mallctlnametomib("arena.0.destroy", mib, &length);
  if (error != 0) return error;
  mib[1] = index;
  return je_mallctlbymib(mib, length, nullptr, nullptr, nullptr, 0);
}

}  // namespace

absl::StatusOr<ArenaHandle> ArenaHandle::Create() noexcept {
  ArenaHandle handle;
  if (!CreateNumbered("arenas.create", handle.id_.index)) return absl::ResourceExhaustedError("");
  handle.id_.generation = DrawGeneration();
  if (!CreateNumbered("tcache.create", handle.cache_)) return absl::ResourceExhaustedError("");
  return handle;
}

ArenaHandle::~ArenaHandle() {
  // The cache goes first: its blocks return to the arena. Neither can fail while nobody uses them.
  if (cache_ != kNone) {
    unsigned cache = cache_;
    CHECK_EQ(je_mallctl("tcache.destroy", nullptr, nullptr, &cache, sizeof(cache)), 0) << cache;
  }
  if (id_.index != kNone) {
    CHECK_EQ(DestroyArena(id_.index), 0) << id_.index;
  }
}

int ArenaHandle::cached_flags() const {
  return static_cast<int>(MALLOCX_ARENA(id_.index) | MALLOCX_TCACHE(cache_));
}

int ArenaHandle::uncached_flags() const {
  return static_cast<int>(MALLOCX_ARENA(id_.index) | MALLOCX_TCACHE_NONE);
}

}  // namespace tenon::alloc
