#include "tenon/alloc/jemalloc/jemalloc_arena.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "jemalloc/jemalloc.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::alloc {
namespace {

constexpr Layout kLayout{.size = 64};

// Holds one object and calls nothing, so that a test knows every mapping that is made.
class OneObject final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    if (layout.size > sizeof(memory_)) return {};
    return {memory_.data(), layout.size};
  }
  void Deallocate(void* /*ptr*/, Layout /*layout*/) noexcept override {}
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  alignas(JemallocArena) std::array<char, sizeof(JemallocArena)> memory_;
};

Owned<JemallocArena> Make(Allocator& memory) {
  absl::StatusOr<Owned<JemallocArena>> arena = JemallocArena::Create(memory);
  EXPECT_TRUE(arena.ok()) << arena.status();
  return arena.ok() ? *std::move(arena) : nullptr;
}

bool IsMapped(const void* ptr) {
  unsigned char residence = 0;
  const uintptr_t page = reinterpret_cast<uintptr_t>(ptr) & ~uintptr_t{4095};
  return mincore(reinterpret_cast<void*>(page), 1, &residence) == 0;
}

uint64_t AddressSpaceBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long pages = 0;
  EXPECT_EQ(std::fscanf(file, "%llu", &pages), 1);
  std::fclose(file);
  return pages * 4096;
}

// Index of the arena that a block is in, by jemalloc's own account.
uint32_t ArenaOf(const void* ptr) {
  unsigned index = UINT32_MAX;
  size_t size = sizeof(index);
  EXPECT_EQ(je_mallctl("arenas.lookup", &index, &size, &ptr, sizeof(ptr)), 0);
  return index;
}

// While it lives, the process is given no addresses. Its stack has grown before, as that would
// fail.
class NoMemory {
 public:
  NoMemory() {
    GrowStack();
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    const rlimit nothing{.rlim_cur = 1, .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &nothing), 0);
  }
  ~NoMemory() { EXPECT_EQ(setrlimit(RLIMIT_AS, &before_), 0); }

 private:
  [[gnu::noinline]] static void GrowStack() {
    volatile char stack[512 << 10];
    for (size_t i = 0; i < sizeof(stack); i += 1024) stack[i] = 1;
  }

  rlimit before_;
};

// How many arenas there are, jemalloc's own included.
int LiveArenas() {
  unsigned indices = 0;
  size_t size = sizeof(indices);
  EXPECT_EQ(je_mallctl("arenas.narenas", &indices, &size, nullptr, 0), 0);
  size_t mib[3];
  size_t length = 3;
  EXPECT_EQ(je_mallctlnametomib("arena.0.initialized", mib, &length), 0);
  int live = 0;
  for (unsigned index = 0; index < indices; ++index) {
    bool initialized = false;
    mib[1] = index;
    size = sizeof(initialized);
    EXPECT_EQ(je_mallctlbymib(mib, length, &initialized, &size, nullptr, 0), 0);
    live += initialized ? 1 : 0;
  }
  return live;
}

TEST(JemallocArenaTest, AllThreadsAllocateFromTheArena) {
  SystemAllocator system;
  const Owned<JemallocArena> arena = Make(system);
  const Block own = arena->Allocate(kLayout);
  ASSERT_NE(own.ptr, nullptr);
  EXPECT_EQ(ArenaOf(own.ptr), arena->id().index);
  std::thread([&] {
    const Block foreign = arena->Allocate(kLayout);
    ASSERT_NE(foreign.ptr, nullptr);
    EXPECT_EQ(ArenaOf(foreign.ptr), arena->id().index);
    const Block moved = arena->Reallocate(foreign.ptr, kLayout, 100'000);
    ASSERT_NE(moved.ptr, nullptr);
    EXPECT_EQ(ArenaOf(moved.ptr), arena->id().index);
    arena->Deallocate(moved.ptr, {.size = 100'000});
  }).join();
  arena->Deallocate(own.ptr, kLayout);
}

// A block that went into the cache of the thread that frees it would be that thread's next one.
TEST(JemallocArenaTest, AForeignFreeNeverEntersAnotherArenasCache) {
  SystemAllocator system;
  const Owned<JemallocArena> mine = Make(system);
  const Owned<JemallocArena> other = Make(system);
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(mine->Allocate(kLayout).ptr);
  std::thread([&] {
    const Block first = other->Allocate(kLayout);
    for (void* ptr : blocks) mine->Deallocate(ptr, kLayout);
    for (int i = 0; i < 200; ++i) {
      const Block block = other->Allocate(kLayout);
      EXPECT_EQ(ArenaOf(block.ptr), other->id().index);
    }
    // Nor the cache that the thread has for the rest of the process.
    for (int i = 0; i < 200; ++i) {
      void* ptr = je_malloc(64);
      EXPECT_NE(ArenaOf(ptr), mine->id().index);
      je_free(ptr);
    }
    other->Deallocate(first.ptr, kLayout);
  }).join();
}

TEST(JemallocArenaTest, TheThreadThatAllocatesFirstOwnsTheCache) {
  SystemAllocator system;
  const Owned<JemallocArena> arena = Make(system);
  const auto reuses = [&] {
    // A cache returns the block that was freed last; past it, jemalloc takes the lowest address.
    const Block low = arena->Allocate(kLayout);
    const Block high = arena->Allocate(kLayout);
    arena->Deallocate(low.ptr, kLayout);
    arena->Deallocate(high.ptr, kLayout);
    const Block again = arena->Allocate(kLayout);
    arena->Deallocate(again.ptr, kLayout);
    return again.ptr == high.ptr;
  };
  bool owner_reuses = false;
  bool other_reuses = true;
  std::atomic<bool> done = false;
  std::thread owner([&] {
    owner_reuses = reuses();
    done = true;
    // Its number is not to be given to the other.
    while (done) std::this_thread::yield();
  });
  while (!done) std::this_thread::yield();
  other_reuses = reuses();
  done = false;
  owner.join();
  EXPECT_TRUE(owner_reuses);
  EXPECT_FALSE(other_reuses);
}

TEST(JemallocArenaTest, ALaterThreadInheritsTheCache) {
  SystemAllocator system;
  const Owned<JemallocArena> arena = Make(system);
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      for (int block = 0; block < 100; ++block) {
        arena->Deallocate(arena->Allocate(kLayout).ptr, kLayout);
      }
    }).join();
  }
  EXPECT_EQ(arena->Stats().live_blocks, 0u);
  EXPECT_EQ(arena->Stats().total_blocks, 300u);
}

TEST(JemallocArenaTest, ARecycledIndexIsAnotherArena) {
  SystemAllocator system;
  std::set<uint32_t> indices;
  std::set<uint64_t> generations;
  constexpr size_t kLives = 10;
  for (size_t life = 0; life < kLives; ++life) {
    const ArenaId id = Make(system)->id();
    EXPECT_NE(id, ArenaId{});
    indices.insert(id.index);
    generations.insert(id.generation);
  }
  EXPECT_LT(indices.size(), kLives) << "none was recycled: this tests nothing";
  EXPECT_EQ(generations.size(), kLives);
}

TEST(JemallocArenaTest, DestructionUnmapsBlocksThatAreLiveCachedOrFreedElsewhere) {
  OneObject memory;
  Owned<JemallocArena> arena = Make(memory);
  constexpr char kWritten = 77;
  std::vector<char*> blocks;
  for (const size_t size : {size_t{16}, size_t{1000}, size_t{20'000}, size_t{4} << 20}) {
    for (int i = 0; i < 50; ++i) {
      const Layout layout{.size = size};
      void* const live = arena->Allocate(layout).ptr;
      void* const cached = arena->Allocate(layout).ptr;
      void* const foreign = arena->Allocate(layout).ptr;
      ASSERT_NE(foreign, nullptr);
      std::memset(live, kWritten, size);
      blocks.push_back(static_cast<char*>(live));
      arena->Deallocate(cached, layout);
      if (i % 10 != 0) continue;
      std::thread([&] { arena->Deallocate(foreign, layout); }).join();
    }
  }
  ASSERT_TRUE(IsMapped(blocks.front()));
  arena.reset();
  // Something else may have been mapped there meanwhile; it is not what was written.
  for (const char* ptr : blocks) EXPECT_TRUE(!IsMapped(ptr) || *ptr != kWritten);
}

TEST(JemallocArenaTest, ManyLivesLeaveNothingMapped) {
  OneObject memory;
  uint64_t before = 0;
  constexpr int kLives = 60;
  for (int life = 0; life < kLives; ++life) {
    const Owned<JemallocArena> arena = Make(memory);
    ASSERT_NE(arena, nullptr);
    for (int i = 0; i < 1000; ++i) ASSERT_NE(arena->Allocate({.size = 4096}).ptr, nullptr);
    // What jemalloc keeps for the process is there by now.
    if (life == 9) before = AddressSpaceBytes();
  }
  // Each life had more than 4 MiB, and 2 MiB of addresses for what jemalloc notes of it.
  EXPECT_LT(AddressSpaceBytes(), before + (16 << 20));
}

TEST(JemallocArenaTest, DestructionWithLiveBlocksForgetsThem) {
  OneObject memory;
  const Layout layout{.size = 100'000};
  // The same addresses come up again: debug builds would take them for live.
  for (int i = 0; i < 20; ++i) {
    const Owned<JemallocArena> arena = Make(memory);
    ASSERT_NE(arena->Allocate(layout).ptr, nullptr);
  }
}

TEST(JemallocArenaTest, ThreadsFreeUntilItIsDestroyed) {
  constexpr size_t kBlocks = 500;
  SystemAllocator system;
  for (int life = 0; life < 20; ++life) {
    Owned<JemallocArena> arena = Make(system);
    std::vector<void*> blocks;
    for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(arena->Allocate(kLayout).ptr);
    std::atomic<size_t> freed = 0;
    std::thread thread([&, arena = arena.get()] {
      for (void* ptr : blocks) {
        arena->Deallocate(ptr, kLayout);
        // Relaxed: nothing but the arena's own wait orders the frees before the destruction.
        freed.fetch_add(1, std::memory_order_relaxed);
      }
    });
    while (freed.load(std::memory_order_relaxed) != kBlocks) std::this_thread::yield();
    arena.reset();
    thread.join();
  }
}

TEST(JemallocArenaTest, FailsCleanlyWithoutAnObjectAnArenaOrACache) {
  SystemAllocator system;
  Make(system).reset();  // jemalloc's own first use makes some.
  const int arenas = LiveArenas();
  FaultAllocator fault(system);
  fault.FailNth(1);
  EXPECT_EQ(JemallocArena::Create(fault).status(), absl::ResourceExhaustedError(""));

  OneObject memory;
  {
    const NoMemory no_memory;
    EXPECT_EQ(JemallocArena::Create(memory).status(), absl::ResourceExhaustedError(""));
  }

  std::vector<unsigned> caches;
  for (unsigned cache = 0, size = 0; size == 0;) {
    size_t length = sizeof(cache);
    if (je_mallctl("tcache.create", &cache, &length, nullptr, 0) != 0) break;
    caches.push_back(cache);
  }
  ASSERT_GT(caches.size(), 1000u);
  EXPECT_EQ(JemallocArena::Create(memory).status(), absl::ResourceExhaustedError(""));
  for (unsigned cache : caches) {
    ASSERT_EQ(je_mallctl("tcache.destroy", nullptr, nullptr, &cache, sizeof(cache)), 0);
  }

  EXPECT_EQ(LiveArenas(), arenas);
}

// jemalloc may print and abort where it is told to; ours is not.
TEST(JemallocArenaTest, WantOfMemoryIsAnAnswerAndSilent) {
  OneObject memory;
  const Owned<JemallocArena> arena = Make(memory);
  std::array<void*, 10'000> blocks;
  size_t count = 0;
  testing::internal::CaptureStderr();
  {
    const NoMemory no_memory;
    for (const size_t size : {4096, 64}) {
      while (count < blocks.size()) {
        void* const ptr = arena->Allocate({.size = size}).ptr;
        if (ptr == nullptr) break;
        blocks[count++] = ptr;
      }
    }
    EXPECT_EQ(arena->Allocate({.size = 64 << 20}).ptr, nullptr);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_LT(count, blocks.size());
  EXPECT_EQ(arena->Stats().failures, 3u);
  EXPECT_EQ(arena->Stats().live_blocks, count);
  EXPECT_NE(arena->Allocate({.size = 64 << 20}).ptr, nullptr);
}

}  // namespace
}  // namespace tenon::alloc
