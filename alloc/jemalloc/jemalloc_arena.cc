#include "tenon/alloc/jemalloc/jemalloc_arena.h"

#include "absl/status/status.h"
#include "tenon/alloc/jemalloc/request.h"
#include "tenon/alloc/threads/thread_number.h"

namespace tenon::alloc {
namespace {

class JemallocArenaFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "jemalloc_arena"; }
  absl::string_view summary() const noexcept override {
    return "a jemalloc arena of its own, with a cache for the thread that is the first to allocate";
  }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    absl::StatusOr<Owned<JemallocArena>> arena = JemallocArena::Create(config.memory);
    if (!arena.ok()) return arena.status();
    return Owned<Allocator>(*std::move(arena));
  }
};

}  // namespace

absl::StatusOr<Owned<JemallocArena>> JemallocArena::Create(Allocator& memory) noexcept {
  absl::StatusOr<ArenaHandle> handle = ArenaHandle::Create();
  if (!handle.ok()) return handle.status();
  Owned<JemallocArena> arena = MakeOwned<JemallocArena>(memory, *std::move(handle));
  if (arena == nullptr) return absl::ResourceExhaustedError("");
  return arena;
}

JemallocArena::~JemallocArena() {
  counters_.WaitForFrees();
  ForgetLiveBlocks(Blocks());
}

Block JemallocArena::Allocate(Layout layout) noexcept {
  const uint32_t number = ThreadNumber();
  if (owner_.load(std::memory_order_relaxed) == kNobody && number != kNoThreadNumber) {
    uint32_t nobody = kNobody;
    owner_.compare_exchange_strong(nobody, number, std::memory_order_relaxed);
  }
  void* const ptr = jemalloc::Allocate(Blocks(), layout, Where(number));
  if (ptr == nullptr) {
    counters_.CountFailure(number);
    return {};
  }
  counters_.CountAllocation(number, layout.size);
  return {ptr, layout.size};
}

void JemallocArena::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  jemalloc::Deallocate(Blocks(), ptr, layout, Where(number));
  counters_.EndFree(number, layout.size);
}

bool JemallocArena::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  if (!jemalloc::TryResize(Blocks(), ptr, layout, new_size)) return false;
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block JemallocArena::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const uint32_t number = ThreadNumber();
  void* const moved = jemalloc::Reallocate(Blocks(), ptr, layout, new_size, Where(number));
  if (moved == nullptr) {
    counters_.CountFailure(number);
    return {};
  }
  counters_.CountResize(number, layout.size, new_size);
  return {moved, new_size};
}

const AllocatorFactory& jemalloc_arena::Factory() {
  static constexpr JemallocArenaFactory factory;
  return factory;
}

}  // namespace tenon::alloc
