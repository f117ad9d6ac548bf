#include "tenon/alloc/tracking/tracking_allocator.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/arena/arena_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/alloc/tracking/leak_report.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::alloc {
namespace {

using testing::HasSubstr;

constexpr Layout kLayout{.size = 100};

std::map<const void*, LiveBlock> Live(const Allocator& allocator) {
  std::map<const void*, LiveBlock> live;
  allocator.VisitLive([&](const LiveBlock& block) {
    EXPECT_TRUE(live.emplace(block.ptr, block).second) << "named twice";
  });
  return live;
}

class TrackingAllocatorTest : public testing::Test {
 protected:
  SystemAllocator system_;
  FaultAllocator fault_{system_};
  TrackingAllocator tracking_{fault_};
};

TEST_F(TrackingAllocatorTest, NamesEveryLiveBlockItsSizeAndSite) {
  const Block unknown = tracking_.Allocate({.size = 1});
  Block block;
  const auto here = std::source_location::current();
  {
    const AllocationSite site(here);
    block = tracking_.Allocate(kLayout);
  }
  auto live = Live(tracking_);
  ASSERT_EQ(live.size(), 2u);
  EXPECT_EQ(live[unknown.ptr].site.line(), 0u);
  EXPECT_EQ(live[unknown.ptr].number, 1u);
  EXPECT_EQ(live[block.ptr].size, 100u);
  EXPECT_EQ(live[block.ptr].number, 2u);
  EXPECT_EQ(live[block.ptr].site.line(), here.line());
  EXPECT_STREQ(live[block.ptr].site.file_name(), here.file_name());
  EXPECT_TRUE(live[block.ptr].stack.empty());
  tracking_.Deallocate(unknown.ptr, {.size = 1});
  EXPECT_EQ(Live(tracking_).size(), 1u);
  tracking_.Deallocate(block.ptr, kLayout);
  tracking_.Deallocate(nullptr, kLayout);
  EXPECT_TRUE(Live(tracking_).empty());
}

TEST_F(TrackingAllocatorTest, KeepsTheAlignment) {
  TrackingAllocator with_stacks(system_, {.stacks = 2, .report = false});
  for (TrackingAllocator* tracking : {&tracking_, &with_stacks}) {
    for (size_t alignment = 1; alignment <= 8192; alignment *= 2) {
      for (size_t size : {size_t{0}, size_t{1}, alignment + 3}) {
        const Layout layout{.size = size, .alignment = alignment};
        Block block = tracking->Allocate(layout);
        ASSERT_NE(block.ptr, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % alignment, 0u);
        std::memset(block.ptr, 7, size);
        block = tracking->Reallocate(block.ptr, layout, size + 5000);
        ASSERT_NE(block.ptr, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % alignment, 0u);
        for (size_t i = 0; i < size; ++i) ASSERT_EQ(static_cast<char*>(block.ptr)[i], 7);
        tracking->Deallocate(block.ptr, {.size = size + 5000, .alignment = alignment});
      }
    }
    EXPECT_EQ(tracking->Stats().live_blocks, 0u);
  }
}

TEST_F(TrackingAllocatorTest, SizesThatOverflowFail) {
  const Block block = tracking_.Allocate(kLayout);
  for (size_t below : {size_t{0}, size_t{1}, size_t{63}}) {
    volatile size_t huge = std::numeric_limits<size_t>::max() - below;
    EXPECT_EQ(tracking_.Allocate({.size = huge, .alignment = 1}).ptr, nullptr);
    EXPECT_EQ(tracking_.Reallocate(block.ptr, kLayout, huge).ptr, nullptr);
    EXPECT_FALSE(tracking_.TryResize(block.ptr, kLayout, huge));
  }
  EXPECT_EQ(fault_.requests(), 1u) << "the inner allocator was asked";
  EXPECT_EQ(tracking_.Stats().failures, 6u);
  tracking_.Deallocate(block.ptr, kLayout);
}

TEST_F(TrackingAllocatorTest, AResizedBlockKeepsNumberAndSite) {
  const auto here = std::source_location::current();
  Block block;
  {
    const AllocationSite site(here);
    block = tracking_.Allocate(kLayout);
  }
  const Block other = tracking_.Allocate(kLayout);
  block = tracking_.Reallocate(block.ptr, kLayout, 100'000);
  ASSERT_NE(block.ptr, nullptr);
  auto live = Live(tracking_);
  EXPECT_EQ(live.size(), 2u);
  EXPECT_EQ(live[block.ptr].size, 100'000u);
  EXPECT_EQ(live[block.ptr].number, 1u);
  EXPECT_EQ(live[block.ptr].site.line(), here.line());
  EXPECT_EQ(tracking_.Stats().live_bytes, 100'100u);
  EXPECT_EQ(tracking_.Stats().total_blocks, 2u);
  tracking_.Deallocate(block.ptr, {.size = 100'000});
  tracking_.Deallocate(other.ptr, kLayout);
}

// Resizes in place by whatever is asked, up to what a block was allocated with.
class ResizableAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    return system_.Allocate({.size = 4096, .alignment = layout.alignment});
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    system_.Deallocate(ptr, {.size = 4096, .alignment = layout.alignment});
  }
  bool TryResize(void* /*ptr*/, Layout /*layout*/, size_t new_size) noexcept override {
    return new_size <= 4096;
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  SystemAllocator system_;
};

TEST(TrackingAllocatorResizeTest, InPlace) {
  ResizableAllocator resizable;
  TrackingAllocator tracking(resizable);
  const Block block = tracking.Allocate(kLayout);
  EXPECT_TRUE(tracking.TryResize(block.ptr, kLayout, 3000));
  EXPECT_EQ(tracking.Stats().live_bytes, 3000u);
  EXPECT_EQ(Live(tracking)[block.ptr].size, 3000u);
  EXPECT_FALSE(tracking.TryResize(block.ptr, {.size = 3000}, 4096));  // with the header too much
  tracking.Deallocate(block.ptr, {.size = 3000});
  EXPECT_EQ(tracking.Stats().live_bytes, 0u);
}

TEST_F(TrackingAllocatorTest, EveryFailureLeavesEverythingAsItWas) {
  Block block = tracking_.Allocate(kLayout);
  std::memset(block.ptr, 7, 100);
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    fault_.FailNth(nth);
    const Block second = tracking_.Allocate(kLayout);
    const Block moved = tracking_.Reallocate(block.ptr, kLayout, 200);
    const Block third = tracking_.Allocate(kLayout);
    EXPECT_EQ(fault_.injected(), 1u);
    EXPECT_EQ(second.ptr == nullptr, nth == 1);
    EXPECT_EQ(moved.ptr == nullptr, nth == 2);
    EXPECT_EQ(third.ptr == nullptr, nth == 3);
    EXPECT_EQ(tracking_.Stats().failures, nth);
    EXPECT_EQ(Live(tracking_).size(), nth == 2 ? 3u : 2u);
    const Block now = nth == 2 ? block : moved;
    for (size_t i = 0; i < 100; ++i) ASSERT_EQ(static_cast<char*>(now.ptr)[i], 7);
    tracking_.Deallocate(second.ptr, kLayout);
    tracking_.Deallocate(third.ptr, kLayout);
    if (moved.ptr != nullptr) block = tracking_.Reallocate(moved.ptr, {.size = 200}, 100);
  }
  tracking_.Deallocate(block.ptr, kLayout);
  EXPECT_EQ(tracking_.Stats().live_bytes, 0u);
  EXPECT_TRUE(Live(tracking_).empty());
}

TEST_F(TrackingAllocatorTest, AFreePreservesErrno) {
  const Block block = tracking_.Allocate(kLayout);
  errno = EXDEV;
  tracking_.Deallocate(block.ptr, kLayout);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(TrackingAllocatorTest, OneAllocationInSoManyRecordsItsStack) {
  TrackingAllocator tracking(system_, {.stacks = 3, .report = false});
  std::vector<Block> blocks;
  for (int i = 0; i < 9; ++i) blocks.push_back(tracking.Allocate(kLayout));
  std::set<uint64_t> with_stack;
  for (const auto& [ptr, block] : Live(tracking)) {
    if (!block.stack.empty()) with_stack.insert(block.number);
  }
  EXPECT_EQ(with_stack, std::set<uint64_t>({3, 6, 9}));
  for (const Block& block : blocks) {
    const Block moved = tracking.Reallocate(block.ptr, kLayout, 5000);
    ASSERT_NE(moved.ptr, nullptr);
    const LiveBlock live = Live(tracking)[moved.ptr];
    EXPECT_EQ(!live.stack.empty(), live.number % 3 == 0) << "a stack moves with its block";
    tracking.Deallocate(moved.ptr, {.size = 5000});
  }
  EXPECT_EQ(tracking.Stats().live_blocks, 0u);
}

TEST_F(TrackingAllocatorTest, IsExactUnderThreads) {
  absl::Mutex mutex;
  std::vector<Block> shared;  // given from thread to thread
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int round = 0; round < 3000; ++round) {
        Block block = tracking_.Allocate({.size = random() % 200});
        ASSERT_NE(block.ptr, nullptr);
        {
          const absl::MutexLock lock(&mutex);
          shared.push_back(block);
          if (shared.size() < 50) continue;
          std::swap(shared[random() % shared.size()], shared.back());
          block = shared.back();
          shared.pop_back();
        }
        const size_t new_size = random() % 200;
        block = tracking_.Reallocate(block.ptr, {.size = block.size}, new_size);
        ASSERT_NE(block.ptr, nullptr);
        tracking_.Deallocate(block.ptr, {.size = new_size});
        if (round % 500 == 0) tracking_.VisitLive([](const LiveBlock&) {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto live = Live(tracking_);
  EXPECT_EQ(live.size(), shared.size());
  std::set<uint64_t> numbers;
  for (const auto& [ptr, block] : live) numbers.insert(block.number);
  EXPECT_EQ(numbers.size(), live.size()) << "two blocks have the same number";
  uint64_t bytes = 0;
  for (const Block& block : shared) {
    ASSERT_TRUE(live.contains(block.ptr));
    EXPECT_EQ(live.at(block.ptr).size, block.size);
    bytes += block.size;
  }
  EXPECT_EQ(tracking_.Stats().live_bytes, bytes);
  EXPECT_EQ(tracking_.Stats().total_blocks, 12'000u);
  for (const Block& block : shared) tracking_.Deallocate(block.ptr, {.size = block.size});
  EXPECT_EQ(tracking_.Stats().live_bytes, 0u);
}

// Keeps freed memory as it is, so that what stands there can be read again.
class KeepingAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    void* ptr = memory_ + used_;
    used_ += (layout.size + 63) / 64 * 64;
    return {.ptr = ptr, .size = layout.size};
  }
  void Deallocate(void* /*ptr*/, Layout /*layout*/) noexcept override {}
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  alignas(std::max_align_t) char memory_[4096] = {};
  size_t used_ = 0;
};

TEST(TrackingAllocatorDeathTest, CatchesMisuse) {
  KeepingAllocator keeping;
  TrackingAllocator tracking(keeping);
  TrackingAllocator other(keeping);
  const Block block = tracking.Allocate(kLayout);
  const Block freed = tracking.Allocate(kLayout);
  tracking.Deallocate(freed.ptr, kLayout);
  EXPECT_DEATH(tracking.Deallocate(freed.ptr, kLayout), "tracking: Deallocate of .* freed before");
  EXPECT_DEATH(tracking.Reallocate(freed.ptr, kLayout, 1), "Reallocate of .* freed before");
  EXPECT_DEATH(other.Deallocate(block.ptr, kLayout), "not allocated here");
  EXPECT_DEATH(tracking.Deallocate(static_cast<char*>(block.ptr) + 16, kLayout),
               "not allocated here");
  EXPECT_DEATH(tracking.Deallocate(block.ptr, {.size = 99}),
               "with 99 bytes aligned to 16; allocation 1 at .* has 100 aligned to 16");
  EXPECT_DEATH(tracking.TryResize(block.ptr, {.size = 100, .alignment = 8}, 5), "aligned to 8");
  static_cast<char*>(block.ptr)[-1] ^= 1;
  EXPECT_DEATH(tracking.Deallocate(block.ptr, kLayout), "stands before it was overwritten");
  static_cast<char*>(block.ptr)[-1] ^= 1;
  tracking.Deallocate(block.ptr, kLayout);
}

TEST(TrackingAllocatorDeathTest, CatchesABlockOfADeadOneAtTheSameAddress) {
  KeepingAllocator keeping;
  std::optional<TrackingAllocator> tracking;
  const TrackingAllocator* const address = &tracking.emplace(keeping);
  const Block block = tracking->Allocate(kLayout);
  ASSERT_EQ(&tracking.emplace(keeping), address);
  EXPECT_DEATH(tracking->Deallocate(block.ptr, kLayout), "not allocated here");
  EXPECT_DEATH(tracking->Reallocate(block.ptr, kLayout, 1), "not allocated here");
}

class Errors final : public absl::LogSink {
 public:
  Errors() { absl::AddLogSink(this); }
  ~Errors() override { absl::RemoveLogSink(this); }
  void Send(const absl::LogEntry& entry) override {
    if (entry.log_severity() == absl::LogSeverity::kError) texts.emplace_back(entry.text_message());
  }
  std::vector<std::string> texts;
};

TEST(TrackingAllocatorReportTest, LogsAtItsEndWhatIsStillLive) {
  KeepingAllocator keeping;
  Errors errors;
  for (const bool leaks : {false, true}) {
    EXPECT_TRUE(errors.texts.empty());
    TrackingAllocator tracking(keeping, {.stacks = 0, .report = true});
    const Block block = tracking.Allocate(kLayout);
    if (!leaks) tracking.Deallocate(block.ptr, kLayout);
  }
  ASSERT_EQ(errors.texts.size(), 3u);
  EXPECT_EQ(errors.texts[0], "tracking: at its end, 1 block with 100 bytes is live");
  EXPECT_EQ(errors.texts[1], "tracking:   1 block with 100 bytes from an unknown place");
  EXPECT_THAT(errors.texts[2], HasSubstr("tracking:   allocation 1: 100 bytes at 0x"));
  {
    TrackingAllocator quiet(keeping);
    quiet.Allocate(kLayout);
  }
  EXPECT_EQ(errors.texts.size(), 3u);
}

TEST(TrackingAllocatorReportTest, LogsALongReportToItsEnd) {
  SystemAllocator system;
  ArenaAllocator arena(system);  // releases what is left
  Errors errors;
  {
    TrackingAllocator tracking(arena, {.stacks = 0, .report = true});
    const AllocationSite site;
    for (int i = 0; i < 103; ++i) ASSERT_NE(tracking.Allocate(kLayout).ptr, nullptr);
  }
  size_t bytes = 0;
  for (const std::string& text : errors.texts) bytes += text.size();
  EXPECT_GT(bytes, 15'000u) << "more than one message of the log holds";
  ASSERT_EQ(errors.texts.size(), 1u + 1 + 100 + 1);
  EXPECT_THAT(errors.texts[101], HasSubstr("tracking:   allocation 100: 100 bytes at 0x"));
  EXPECT_EQ(errors.texts[102], "tracking:   and 3 blocks more");
}

TEST_F(TrackingAllocatorTest, IsMadeByItsFactory) {
  const AllocatorFactory& factory = tracking::Factory();
  ASSERT_TRUE(factory.decorates());
  ASSERT_EQ(factory.options().size(), 2u);
  AllocatorOptionValue options[2];
  options[0].number = 1;
  const AllocatorConfig config{.options = options, .inner = &system_, .memory = fault_};
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create(config).status(), absl::ResourceExhaustedError(""));
  auto made = factory.Create(config);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->traits().tracking);
  EXPECT_TRUE((*made)->traits().thread_safe);
  const Block block = (*made)->Allocate(kLayout);
  EXPECT_FALSE(Live(**made)[block.ptr].stack.empty());
  (*made)->Deallocate(block.ptr, kLayout);
}

}  // namespace
}  // namespace tenon::alloc
