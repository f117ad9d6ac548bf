#include "tenon/alloc/arena/arena_allocator.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

constexpr size_t kChunk = 4096;
constexpr Layout kLayout{.size = 100};

class ArenaAllocatorTest : public testing::Test {
 protected:
  ~ArenaAllocatorTest() override { EXPECT_EQ(chunks(), 0u) << "chunks outlive the arena"; }
  uint64_t chunks() const { return counting_.Stats().live_blocks; }
  uint64_t chunks_taken() const { return counting_.Stats().total_blocks; }

  SystemAllocator system_;
  CountingAllocator counting_{system_};
  FaultAllocator fault_{counting_};
};

using ArenaAllocatorDeathTest = ArenaAllocatorTest;

TEST_F(ArenaAllocatorTest, HonoursAlignmentAndSizeFromAnyPosition) {
  ArenaAllocator arena(fault_, kChunk);
  std::mt19937 random(11);
  struct Live {
    Block block;
    Layout layout;
  };
  std::vector<Live> live;
  for (int i = 0; i < 2000; ++i) {
    const Layout layout{.size = random() % (random() % 8 == 0 ? 3000 : 60),
                        .alignment = size_t{1} << random() % 13};
    const Block block = arena.Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % layout.alignment, 0u);
    std::memset(block.ptr, i, layout.size);
    live.push_back({block, layout});
  }
  for (size_t i = 0; i < live.size(); ++i) {
    const auto* bytes = static_cast<const unsigned char*>(live[i].block.ptr);
    for (size_t j = 0; j < live[i].layout.size; ++j) ASSERT_EQ(bytes[j], i % 256) << "overlap";
  }
  EXPECT_EQ(arena.Stats().live_blocks, 2000u);
  while (!live.empty()) {
    std::swap(live[random() % live.size()], live.back());
    arena.Deallocate(live.back().block.ptr, live.back().layout);
    live.pop_back();
  }
  EXPECT_EQ(arena.Stats().live_blocks, 0u);
  EXPECT_EQ(arena.Stats().live_bytes, 0u);
}

TEST_F(ArenaAllocatorTest, ManySmallBlocksTakeFewChunks) {
  ArenaAllocator arena(fault_, kChunk);
  for (int i = 0; i < 1000; ++i) ASSERT_NE(arena.Allocate({.size = 16}).ptr, nullptr);
  EXPECT_LE(chunks(), 1000u * 32 / kChunk + 1);
}

TEST_F(ArenaAllocatorTest, TheLastBlocksAreMemoryAgain) {
  ArenaAllocator arena(fault_, kChunk);
  const Block first = arena.Allocate(kLayout);
  for (int i = 0; i < 1000; ++i) {
    const Block a = arena.Allocate(kLayout);
    const Block b = arena.Allocate({.size = 0});
    const Block c = arena.Allocate({.size = 33, .alignment = 8});
    arena.Deallocate(c.ptr, {.size = 33, .alignment = 8});
    arena.Deallocate(b.ptr, {.size = 0});
    arena.Deallocate(a.ptr, kLayout);
  }
  EXPECT_EQ(chunks_taken(), 1u);
  const Block second = arena.Allocate(kLayout);
  EXPECT_NE(second.ptr, first.ptr);
}

TEST_F(ArenaAllocatorTest, ZeroBytesAreUnique) {
  ArenaAllocator arena(fault_, kChunk);
  const Block a = arena.Allocate({.size = 0});
  const Block b = arena.Allocate({.size = 0});
  const Block c = arena.Allocate({.size = 1});
  EXPECT_NE(a.ptr, b.ptr);
  EXPECT_NE(b.ptr, c.ptr);
  EXPECT_EQ(arena.Stats().live_blocks, 3u);
}

TEST_F(ArenaAllocatorTest, ResizesInPlaceTheLastBlockAndWhateverShrinks) {
  ArenaAllocator arena(fault_, kChunk);
  const Block first = arena.Allocate(kLayout);
  const Block last = arena.Allocate(kLayout);
  EXPECT_FALSE(arena.TryResize(first.ptr, kLayout, 101));
  EXPECT_TRUE(arena.TryResize(first.ptr, kLayout, 50));
  EXPECT_TRUE(arena.TryResize(last.ptr, kLayout, 3000));
  std::memset(last.ptr, 1, 3000);
  EXPECT_FALSE(arena.TryResize(last.ptr, {.size = 3000}, kChunk));
  EXPECT_EQ(arena.Stats().live_bytes, 3050u);
  EXPECT_TRUE(arena.TryResize(last.ptr, {.size = 3000}, 10));
  for (int i = 0; i < 20; ++i) EXPECT_NE(arena.Allocate(kLayout).ptr, nullptr);
  EXPECT_EQ(chunks_taken(), 1u) << "what the last block gave up is used";
  EXPECT_EQ(arena.Stats().live_bytes, 2060u);
}

TEST_F(ArenaAllocatorTest, LargeBlocksComeAndGoByThemselves) {
  ArenaAllocator arena(fault_, kChunk);
  const Layout large{.size = 100'000, .alignment = 512};
  std::vector<Block> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(arena.Allocate(large));
  EXPECT_EQ(chunks(), 4u);
  for (const Block& block : blocks) {
    ASSERT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % 512, 0u);
    std::memset(block.ptr, 1, large.size);
  }
  for (int i : {1, 3, 0, 2}) arena.Deallocate(blocks[static_cast<size_t>(i)].ptr, large);
  EXPECT_EQ(chunks(), 0u);
}

TEST_F(ArenaAllocatorTest, RewindReleasesWhatCameSince) {
  ArenaAllocator arena(fault_, kChunk);
  const Block before = arena.Allocate(kLayout);
  std::memset(before.ptr, 7, 100);
  for (int round = 0; round < 100; ++round) {
    const auto checkpoint = arena.Save();
    for (int i = 0; i < 100; ++i) ASSERT_NE(arena.Allocate(kLayout).ptr, nullptr);
    ASSERT_NE(arena.Allocate({.size = 50'000}).ptr, nullptr);
    const auto inner = arena.Save();
    const Block freed = arena.Allocate(kLayout);
    ASSERT_NE(arena.Allocate(kLayout).ptr, nullptr);
    arena.Deallocate(freed.ptr, kLayout);
    if (round % 2 == 0) arena.Rewind(inner);
    arena.Rewind(checkpoint);
    EXPECT_EQ(arena.Stats().live_blocks, 1u);
    EXPECT_EQ(arena.Stats().live_bytes, 100u);
    EXPECT_LE(chunks(), 2u) << "the first one and a spare one";
  }
  for (int i = 0; i < 100; ++i) ASSERT_EQ(static_cast<char*>(before.ptr)[i], 7);
  EXPECT_EQ(arena.Stats().total_blocks, 1u + 100 * 103);
}

TEST_F(ArenaAllocatorTest, BlocksFromBeforeACheckpointMayBeFreedAfterIt) {
  ArenaAllocator arena(fault_, kChunk);
  const Block kept = arena.Allocate(kLayout);
  const Block freed = arena.Allocate(kLayout);
  const auto checkpoint = arena.Save();
  arena.Deallocate(freed.ptr, kLayout);
  const Block since = arena.Allocate({.size = 1000});
  ASSERT_NE(since.ptr, nullptr);
  EXPECT_EQ(arena.Stats().live_bytes, 1100u);
  arena.Rewind(checkpoint);
  EXPECT_EQ(arena.Stats().live_bytes, 100u);
  const Block next = arena.Allocate(kLayout);
  std::memset(next.ptr, 1, 100);
  std::memset(kept.ptr, 2, 100);
  EXPECT_EQ(static_cast<char*>(next.ptr)[0], 1) << "overlaps what is live";
}

TEST_F(ArenaAllocatorTest, ABlockFromBeforeACheckpointGrowsByMoving) {
  ArenaAllocator arena(fault_, kChunk);
  const Block kept = arena.Allocate(kLayout);
  std::memset(kept.ptr, 7, 100);
  const auto checkpoint = arena.Save();
  EXPECT_FALSE(arena.TryResize(kept.ptr, kLayout, 1000));
  EXPECT_TRUE(arena.TryResize(kept.ptr, kLayout, 50));
  EXPECT_FALSE(arena.TryResize(kept.ptr, {.size = 50}, 51));
  Block moved = arena.Reallocate(kept.ptr, {.size = 50}, 60);
  ASSERT_NE(moved.ptr, nullptr);
  EXPECT_NE(moved.ptr, kept.ptr);
  EXPECT_EQ(static_cast<char*>(moved.ptr)[49], 7);
  EXPECT_TRUE(arena.TryResize(moved.ptr, {.size = 60}, 500)) << "it is of the time since";
  arena.Rewind(checkpoint);
  EXPECT_EQ(arena.Stats().live_blocks, 0u);
}

TEST_F(ArenaAllocatorTest, NothingOverlapsWhatWasResizedAcrossACheckpoint) {
  ArenaAllocator arena(fault_, kChunk);
  const Block kept = arena.Allocate(kLayout);
  const auto checkpoint = arena.Save();
  const bool grown = arena.TryResize(kept.ptr, kLayout, 1000);
  arena.Rewind(checkpoint);
  const size_t size = grown ? 1000 : 100;
  std::memset(kept.ptr, 7, size);
  const Block next = arena.Allocate(kLayout);
  std::memset(next.ptr, 8, 100);
  for (size_t i = 0; i < size; ++i) ASSERT_EQ(static_cast<char*>(kept.ptr)[i], 7) << "at " << i;
}

TEST_F(ArenaAllocatorTest, EveryFailureLeavesItUsable) {
  // The same steps with each request to the inner allocator failing in its turn.
  uint64_t nth = 1;
  do {
    ArenaAllocator arena(fault_, kChunk);
    fault_.FailNth(nth++);
    const auto checkpoint = arena.Save();
    uint64_t live_bytes = 0;
    for (size_t size : {100, 900, 900, 900, 900, 5000, 900, 900, 100'000}) {
      const Block block = arena.Allocate({.size = size});
      if (block.ptr != nullptr) live_bytes += size;
      EXPECT_EQ(arena.Stats().live_bytes, live_bytes);
    }
    EXPECT_EQ(arena.Stats().failures, fault_.injected());
    const Block block = arena.Allocate(kLayout);
    ASSERT_NE(block.ptr, nullptr);
    std::memset(block.ptr, 7, 100);
    fault_.FailFrom(1);
    EXPECT_EQ(arena.Reallocate(block.ptr, kLayout, 60'000).ptr, nullptr);
    EXPECT_EQ(static_cast<char*>(block.ptr)[99], 7);
    fault_.FailNth(nth - 1);
    arena.Rewind(checkpoint);
    EXPECT_EQ(arena.Stats().live_bytes, 0u);
  } while (nth <= 5);
}

TEST_F(ArenaAllocatorTest, SizesThatOverflowFail) {
  ArenaAllocator arena(fault_, kChunk);
  fault_.FailFrom(1);
  volatile size_t huge = std::numeric_limits<size_t>::max();
  EXPECT_EQ(arena.Allocate({.size = huge}).ptr, nullptr);
  EXPECT_EQ(arena.Allocate({.size = huge - 40}).ptr, nullptr);
  EXPECT_EQ(arena.Allocate({.size = huge / 2 + 1, .alignment = huge / 2 + 1}).ptr, nullptr);
  EXPECT_EQ(fault_.requests(), 0u) << "the inner allocator was asked";
  EXPECT_EQ(arena.Allocate({.size = 1, .alignment = huge / 2 + 1}).ptr, nullptr);
  EXPECT_EQ(fault_.requests(), 1u);
}

TEST_F(ArenaAllocatorDeathTest, CatchesMisuse) {
  ArenaAllocator arena(fault_, kChunk);
  const Block freed = arena.Allocate(kLayout);
  const Block block = arena.Allocate({.size = 200});
  std::memset(block.ptr, 0, 200);
  arena.Deallocate(freed.ptr, kLayout);
  EXPECT_DEATH(arena.Deallocate(freed.ptr, kLayout), "arena: Deallocate of .* was freed before");
  EXPECT_DEATH(arena.Deallocate(block.ptr, kLayout), "allocated with 200 bytes, not 100");
  EXPECT_DEATH(arena.TryResize(static_cast<char*>(block.ptr) + 16, kLayout, 1),
               "not allocated here");
  const auto checkpoint = arena.Save();
  arena.Rewind(checkpoint);
  EXPECT_DEATH(arena.Rewind(checkpoint), "a checkpoint that has ended");
  arena.Save();
  EXPECT_DEATH(arena.Rewind(checkpoint), "a checkpoint that has ended");
  EXPECT_DEATH(arena.Rewind({}), "a checkpoint that has ended");
  EXPECT_DEATH(
      {
        for (;;) arena.Save();
      },
      "too many checkpoints");
}

TEST_F(ArenaAllocatorDeathTest, CatchesABlockOfASibling) {
  ArenaAllocator arena(fault_, kChunk);
  ArenaAllocator sibling(fault_, kChunk);
  const Block block = arena.Allocate(kLayout);
  EXPECT_DEATH(sibling.Deallocate(block.ptr, kLayout), "Deallocate of .* not allocated here");
  const Block large = arena.Allocate({.size = 5000});
  EXPECT_DEATH(sibling.Deallocate(large.ptr, {.size = 5000}), "not allocated here");
  arena.Save();
  sibling.Save();
  const Block since = arena.Allocate(kLayout);
  EXPECT_DEATH(sibling.TryResize(since.ptr, kLayout, 1), "TryResize of .* not allocated here");
}

TEST_F(ArenaAllocatorDeathTest, CatchesABlockFromBeforeARewind) {
  ArenaAllocator arena(fault_, kChunk);
  const auto checkpoint = arena.Save();
  arena.Allocate(kLayout);
  const Block gone = arena.Allocate(kLayout);
  arena.Rewind(checkpoint);
  // What stands before it is of this block now, which has not been written.
  ASSERT_NE(arena.Allocate({.size = 500}).ptr, nullptr);
  EXPECT_DEATH(arena.Deallocate(gone.ptr, kLayout), "was released by Rewind");
  arena.Save();
  EXPECT_DEATH(arena.Deallocate(gone.ptr, kLayout), "was released by Rewind");
}

TEST_F(ArenaAllocatorDeathTest, CatchesABlockOfADeadArenaAtTheSameAddress) {
  alignas(16) char memory[2 * kChunk];
  class Kept final : public Allocator {
   public:
    explicit Kept(char* memory) : memory_(memory) {}
    Block Allocate(Layout layout) noexcept override {
      return {.ptr = std::exchange(memory_, memory_ + layout.size), .size = layout.size};
    }
    void Deallocate(void* /*ptr*/, Layout /*layout*/) noexcept override {}
    AllocatorStats Stats() const noexcept override { return {}; }
    AllocatorTraits traits() const noexcept override { return {}; }

   private:
    char* memory_;
  } kept(memory);
  std::optional<ArenaAllocator> arena;
  arena.emplace(kept, kChunk);
  const Block block = arena->Allocate(kLayout);
  const auto checkpoint = arena->Save();
  arena.emplace(kept, kChunk);
  EXPECT_NE(arena->Allocate(kLayout).ptr, block.ptr);
  EXPECT_DEATH(arena->Deallocate(block.ptr, kLayout), "not allocated here");
  arena->Save();
  EXPECT_DEATH(arena->Rewind(checkpoint), "a checkpoint of another arena");
}

TEST_F(ArenaAllocatorDeathTest, CatchesACheckpointOfASibling) {
  ArenaAllocator arena(fault_, kChunk);
  ArenaAllocator sibling(fault_, kChunk);
  const auto checkpoint = arena.Save();
  const auto other = sibling.Save();
  EXPECT_DEATH(arena.Rewind(other), "a checkpoint of another arena");
  arena.Rewind(checkpoint);
}

TEST_F(ArenaAllocatorTest, AFreePreservesErrno) {
  ArenaAllocator arena(fault_, kChunk);
  const Block block = arena.Allocate({.size = 1 << 24});
  errno = EXDEV;
  arena.Deallocate(block.ptr, {.size = 1 << 24});
  arena.Deallocate(nullptr, kLayout);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(ArenaAllocatorTest, IsMadeByItsFactory) {
  const AllocatorFactory& factory = arena::Factory();
  ASSERT_TRUE(factory.decorates());
  ASSERT_EQ(factory.options().size(), 1u);
  AllocatorOptionValue chunk{.number = 2048};
  const AllocatorConfig config{
      .options = absl::MakeConstSpan(&chunk, 1), .inner = &counting_, .memory = fault_};
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create(config).status(), absl::ResourceExhaustedError(""));
  {
    const auto made = factory.Create(config);
    ASSERT_TRUE(made.ok());
    const uint64_t before = counting_.Stats().live_bytes;
    EXPECT_NE((*made)->Allocate(kLayout).ptr, nullptr);
    EXPECT_EQ(counting_.Stats().live_bytes, before + 2048);
    EXPECT_TRUE((*made)->traits().bulk_release);
    EXPECT_FALSE((*made)->traits().thread_safe);
  }
  chunk.number = 1000;
  EXPECT_EQ(factory.Create(config).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tenon::alloc
