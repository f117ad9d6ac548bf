#include "tenon/alloc/poison/poison_allocator.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/config.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/arena/arena_allocator.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/poison/sanitizer.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::alloc {
namespace {

using Kind = PoisonReport::Kind;
using testing::ContainsRegex;

constexpr Layout kLayout{.size = 100};

// Writes where it must not, past the address sanitizer, which would be first to notice.
ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS ABSL_ATTRIBUTE_NOINLINE void Write(void* ptr, ptrdiff_t offset) {
  static_cast<volatile char*>(ptr)[offset] = 'x';
}

ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS ABSL_ATTRIBUTE_NOINLINE unsigned char Read(const void* ptr,
                                                                              ptrdiff_t offset) {
  return static_cast<const volatile unsigned char*>(ptr)[offset];
}

class PoisonAllocatorTest : public testing::Test {
 protected:
  static void Keep(void* context, const PoisonReport& report) {
    static_cast<PoisonAllocatorTest*>(context)->reports_.push_back(report);
  }
  PoisonOptions Options(size_t quarantine = 1 << 20) {
    PoisonOptions options;
    options.quarantine = quarantine;
    options.handler = &Keep;
    options.context = this;
    return options;
  }
  // The only report so far, which is forgotten.
  PoisonReport TakeReport() {
    EXPECT_EQ(reports_.size(), 1u);
    const PoisonReport report = reports_.empty() ? PoisonReport() : reports_[0];
    reports_.clear();
    return report;
  }
  ~PoisonAllocatorTest() override {
    EXPECT_TRUE(reports_.empty());
    EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  }

  std::vector<PoisonReport> reports_;
  SystemAllocator system_;
  CountingAllocator counting_{system_};
  FaultAllocator fault_{counting_};
};

TEST_F(PoisonAllocatorTest, FillsNewAndFreedMemory) {
  PoisonAllocator poison(fault_, Options());
  const Block block = poison.Allocate(kLayout);
  for (ptrdiff_t i = 0; i < 100; ++i) EXPECT_EQ(Read(block.ptr, i), 0xCD);
  std::memset(block.ptr, 1, 100);
  poison.Deallocate(block.ptr, kLayout);
  for (ptrdiff_t i = 0; i < 100; ++i) EXPECT_EQ(Read(block.ptr, i), 0xDD);
}

TEST_F(PoisonAllocatorTest, KeepsAlignmentAndBytes) {
  PoisonAllocator poison(fault_, Options());
  for (size_t alignment = 1; alignment <= 4096; alignment *= 4) {
    for (size_t size : {size_t{0}, size_t{1}, size_t{17}, alignment}) {
      const Layout layout{.size = size, .alignment = alignment};
      const Block block = poison.Allocate(layout);
      ASSERT_NE(block.ptr, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % alignment, 0u);
      std::memset(block.ptr, 7, size);
      const Block moved = poison.Reallocate(block.ptr, layout, size + 300);
      ASSERT_NE(moved.ptr, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(moved.ptr) % alignment, 0u);
      for (size_t i = 0; i < size; ++i) ASSERT_EQ(static_cast<char*>(moved.ptr)[i], 7);
      std::memset(moved.ptr, 7, size + 300);
      poison.Deallocate(moved.ptr, {.size = size + 300, .alignment = alignment});
    }
  }
  EXPECT_EQ(poison.Stats().live_bytes, 0u);
}

TEST_F(PoisonAllocatorTest, ReportsAnOverrunWithItsOffset) {
  PoisonAllocator poison(fault_, Options());
  for (ptrdiff_t offset : {100, 107, 115}) {
    const Block block = poison.Allocate(kLayout);
    Write(block.ptr, offset);
    poison.Deallocate(block.ptr, kLayout);
    const PoisonReport report = TakeReport();
    EXPECT_EQ(report.kind, Kind::kOverrun);
    EXPECT_EQ(report.offset, offset);
    EXPECT_EQ(report.ptr, block.ptr);
    EXPECT_EQ(report.layout.size, 100u);
  }
}

TEST_F(PoisonAllocatorTest, ReportsAnUnderrunWithItsOffset) {
  PoisonAllocator poison(fault_, Options());
  const auto here = std::source_location::current();
  const AllocationSite site(here);
  for (ptrdiff_t offset : {-1, -16}) {
    const Block block = poison.Allocate(kLayout);
    Write(block.ptr, offset);
    EXPECT_FALSE(poison.TryResize(block.ptr, kLayout, 200));
    const PoisonReport report = TakeReport();
    EXPECT_EQ(report.kind, Kind::kUnderrun);
    EXPECT_EQ(report.offset, offset);
    EXPECT_STREQ(report.operation, "TryResize");
    EXPECT_EQ(report.site.line(), here.line());
    EXPECT_THAT(report.Text(), ContainsRegex("poison: TryResize of 0x.*: bytes in front of it were "
                                             "written, first the one at offset -1.*; it is "
                                             "allocation .*, of 100 bytes aligned to 16, from .*"));
    poison.Deallocate(block.ptr, kLayout);
  }
}

TEST_F(PoisonAllocatorTest, AWiderRedZoneSeesFarther) {
  PoisonOptions options = Options();
  options.red_zone = 100;  // rounded up to 112
  PoisonAllocator poison(fault_, options);
  for (ptrdiff_t offset : {-112, 211}) {
    const Block block = poison.Allocate(kLayout);
    Write(block.ptr, offset);
    poison.Deallocate(block.ptr, kLayout);
    EXPECT_EQ(TakeReport().offset, offset);
  }
}

TEST_F(PoisonAllocatorTest, ReportsAWriteAfterFreeWhenTheQuarantineEnds) {
  PoisonAllocator poison(fault_, Options());
  for (ptrdiff_t offset : {0, 99, -3, 104}) {
    const Block block = poison.Allocate(kLayout);
    poison.Deallocate(block.ptr, kLayout);
    Write(block.ptr, offset);
    EXPECT_TRUE(reports_.empty());
    poison.FlushQuarantine();
    const PoisonReport report = TakeReport();
    EXPECT_EQ(report.kind, Kind::kWriteAfterFree);
    EXPECT_EQ(report.offset, offset);
  }
}

TEST_F(PoisonAllocatorTest, TheQuarantineIsBoundedAndFirstInFirstOut) {
  PoisonAllocator poison(fault_, Options(1000));
  std::vector<Block> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(poison.Allocate(kLayout));
  for (size_t i = 0; i < 20; ++i) {
    poison.Deallocate(blocks[i].ptr, kLayout);
    EXPECT_LE(counting_.Stats().live_bytes, (20 - i) * 200 + 1000);
    if (i < 3) {
      EXPECT_EQ(counting_.Stats().live_blocks, 20u) << "withheld";
    }
  }
  EXPECT_GT(counting_.Stats().live_bytes, 0u);
  EXPECT_LE(counting_.Stats().live_bytes, 1000u);
  EXPECT_EQ(poison.Stats().live_bytes, 0u);
  // The last one freed is still withheld, and one that is too large never is.
  Write(blocks[19].ptr, 5);
  const uint64_t withheld = counting_.Stats().live_blocks;
  poison.Deallocate(poison.Allocate({.size = 2000}).ptr, {.size = 2000});
  EXPECT_EQ(counting_.Stats().live_blocks, withheld);
  EXPECT_TRUE(reports_.empty());
  poison.FlushQuarantine();
  EXPECT_EQ(TakeReport().number, 20u);
  EXPECT_EQ(counting_.Stats().live_blocks, 0u);
}

TEST_F(PoisonAllocatorTest, ReportsDoubleFreeWrongLayoutAndUnknownBlocks) {
  PoisonAllocator poison(fault_, Options());
  const Block block = poison.Allocate(kLayout);
  poison.Deallocate(block.ptr, {.size = 99});
  PoisonReport report = TakeReport();
  EXPECT_EQ(report.kind, Kind::kWrongLayout);
  EXPECT_EQ(report.given.size, 99u);
  EXPECT_EQ(poison.Stats().live_bytes, 0u) << "freed by what is known of it";
  poison.Deallocate(block.ptr, kLayout);
  report = TakeReport();
  EXPECT_EQ(report.kind, Kind::kDoubleFree);
  EXPECT_EQ(report.number, 1u);
  EXPECT_EQ(poison.Reallocate(block.ptr, kLayout, 5).ptr, nullptr);
  EXPECT_EQ(TakeReport().kind, Kind::kDoubleFree);
  EXPECT_EQ(poison.Stats().live_blocks, 0u);
  alignas(16) char elsewhere[256] = {};
  poison.Deallocate(elsewhere + 128, kLayout);
  EXPECT_EQ(TakeReport().kind, Kind::kUnknownBlock);
}

TEST_F(PoisonAllocatorTest, KnowsNoBlockOfASibling) {
  PoisonAllocator poison(fault_, Options());
  PoisonAllocator sibling(fault_, Options());
  const Block block = poison.Allocate(kLayout);
  sibling.Deallocate(block.ptr, kLayout);
  EXPECT_EQ(TakeReport().kind, Kind::kUnknownBlock);
  EXPECT_EQ(poison.Stats().live_blocks, 1u);
  EXPECT_EQ(sibling.Stats().live_blocks, 0u);
  poison.Deallocate(block.ptr, kLayout);
  sibling.Deallocate(block.ptr, kLayout);
  EXPECT_EQ(TakeReport().kind, Kind::kUnknownBlock) << "another freed it";
}

TEST_F(PoisonAllocatorTest, KnowsNoBlockOfADeadOneAtTheSameAddress) {
  ArenaAllocator arena(fault_);  // releases the block
  std::optional<PoisonAllocator> poison;
  const PoisonAllocator* const address = &poison.emplace(arena, Options());
  const Block block = poison->Allocate(kLayout);
  ASSERT_EQ(&poison.emplace(arena, Options()), address);
  poison->Deallocate(block.ptr, kLayout);
  EXPECT_EQ(TakeReport().kind, Kind::kUnknownBlock);
  EXPECT_EQ(poison->Reallocate(block.ptr, kLayout, 1).ptr, nullptr);
  EXPECT_EQ(TakeReport().kind, Kind::kUnknownBlock);
  EXPECT_EQ(poison->Stats().live_bytes, 0u);
}

TEST_F(PoisonAllocatorTest, ReleasesLiveBlocksUnlessTheirRedZonesWouldRemainPoisoned) {
  ArenaAllocator arena(fault_);
  ASSERT_TRUE(arena.traits().bulk_release);
  EXPECT_NE(PoisonAllocator(arena).traits().bulk_release, kPoisonsMemory);
}

TEST_F(PoisonAllocatorTest, ResizesInPlaceWhereTheInnerAllocatorCan) {
  ArenaAllocator arena(fault_);
  PoisonAllocator poison(arena, Options());
  const Block block = poison.Allocate(kLayout);
  std::memset(block.ptr, 7, 100);
  ASSERT_TRUE(poison.TryResize(block.ptr, kLayout, 1000));
  EXPECT_EQ(Read(block.ptr, 99), 7);
  for (ptrdiff_t i = 100; i < 1000; ++i) ASSERT_EQ(Read(block.ptr, i), 0xCD);
  std::memset(block.ptr, 8, 1000);
  ASSERT_TRUE(poison.TryResize(block.ptr, {.size = 1000}, 50));
  EXPECT_EQ(poison.Stats().live_bytes, 50u);
  Write(block.ptr, 50);
  poison.Deallocate(block.ptr, {.size = 50});
  EXPECT_EQ(TakeReport().offset, 50);
}

TEST_F(PoisonAllocatorTest, EveryFailureLeavesItUsable) {
  PoisonAllocator poison(fault_, Options(0));
  const Block block = poison.Allocate(kLayout);
  std::memset(block.ptr, 7, 100);
  fault_.FailFrom(1);
  EXPECT_EQ(poison.Allocate(kLayout).ptr, nullptr);
  EXPECT_FALSE(poison.TryResize(block.ptr, kLayout, 200));
  EXPECT_EQ(poison.Reallocate(block.ptr, kLayout, 200).ptr, nullptr);
  for (ptrdiff_t i = 0; i < 100; ++i) ASSERT_EQ(Read(block.ptr, i), 7);
  EXPECT_EQ(poison.Stats().live_bytes, 100u);
  EXPECT_EQ(poison.Stats().failures, 2u);
  fault_.Clear();
  volatile size_t huge = std::numeric_limits<size_t>::max();
  for (size_t below : {0, 10, 60, 95}) {
    EXPECT_EQ(poison.Allocate({.size = huge - below, .alignment = 1}).ptr, nullptr);
    EXPECT_EQ(poison.Reallocate(block.ptr, kLayout, huge - below).ptr, nullptr);
  }
  EXPECT_EQ(fault_.requests(), 0u) << "the inner allocator was asked";
  const Block moved = poison.Reallocate(block.ptr, kLayout, 200);
  ASSERT_NE(moved.ptr, nullptr);
  poison.Deallocate(moved.ptr, {.size = 200});
}

TEST_F(PoisonAllocatorTest, TheQuarantineMakesNoAllocationFail) {
  PoisonAllocator poison(fault_, Options());
  poison.Deallocate(poison.Allocate(kLayout).ptr, kLayout);
  fault_.FailNth(1);
  const Block block = poison.Allocate(kLayout);
  EXPECT_NE(block.ptr, nullptr);
  EXPECT_EQ(fault_.injected(), 1u);
  EXPECT_EQ(fault_.requests(), 2u);
  EXPECT_EQ(counting_.Stats().live_blocks, 1u) << "what was withheld went back";
  fault_.FailNth(1);
  EXPECT_EQ(poison.Allocate(kLayout).ptr, nullptr) << "nothing is withheld";
  poison.Deallocate(block.ptr, kLayout);
}

TEST_F(PoisonAllocatorTest, AFreePreservesErrno) {
  PoisonAllocator poison(fault_, Options(100));
  const Block block = poison.Allocate(kLayout);
  errno = EXDEV;
  poison.Deallocate(block.ptr, kLayout);
  poison.Deallocate(nullptr, kLayout);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(PoisonAllocatorTest, ManyThreadsFreeEachOthersBlocks) {
  PoisonAllocator poison(fault_, Options(5000));
  absl::Mutex mutex;
  std::vector<Block> shared;
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int round = 0; round < 1500; ++round) {
        const size_t size = random() % 200;
        Block block = poison.Allocate({.size = size});
        ASSERT_NE(block.ptr, nullptr);
        std::memset(block.ptr, 1, size);
        {
          const absl::MutexLock lock(&mutex);
          if (shared.size() < 30) {
            shared.push_back(block);
            continue;
          }
          std::swap(block, shared[random() % shared.size()]);
        }
        poison.Deallocate(block.ptr, {.size = block.size});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Block& block : shared) poison.Deallocate(block.ptr, {.size = block.size});
  EXPECT_EQ(poison.Stats().live_bytes, 0u);
  EXPECT_EQ(poison.Stats().total_blocks, 6000u);
}

TEST(PoisonAllocatorDeathTest, WithoutAHandlerAFindingEndsTheProcess) {
  SystemAllocator system;
  PoisonAllocator poison(system);
  const Block block = poison.Allocate(kLayout);
  EXPECT_DEATH(
      {
        Write(block.ptr, 101);
        poison.Deallocate(block.ptr, kLayout);
      },
      "poison: Deallocate of 0x[0-9a-f]+: bytes behind it were written, first the one at offset "
      "101; it is allocation 1, of 100 bytes aligned to 16");
  poison.Deallocate(block.ptr, kLayout);
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  EXPECT_DEATH(static_cast<volatile char*>(block.ptr)[5] = 1, "use-after-poison");
#endif
}

TEST_F(PoisonAllocatorTest, IsMadeByItsFactory) {
  const AllocatorFactory& factory = poison::Factory();
  ASSERT_TRUE(factory.decorates());
  ASSERT_EQ(factory.options().size(), 2u);
  AllocatorOptionValue options[2] = {};
  options[0].number = 32;
  options[1].number = 1000;
  const AllocatorConfig config{.options = options, .inner = &system_, .memory = fault_};
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create(config).status(), absl::ResourceExhaustedError(""));
  {
    const auto made = factory.Create(config);
    ASSERT_TRUE(made.ok());
    EXPECT_TRUE((*made)->traits().thread_safe);
    EXPECT_FALSE((*made)->traits().tracking);
  }
  options[0].number = size_t{1} << 40;
  EXPECT_EQ(factory.Create(config).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tenon::alloc
