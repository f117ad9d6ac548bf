// ALC-4, ALC-5 and ALC-13: allocations that fail, and what a free leaves alone.

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/in_time.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/faults/sweep.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

// A little of everything, here and on another thread.
void ExpectUsable(Allocator& allocator, const char* when) {
  const auto use = [&] {
    for (const size_t size : {8, 300, 5000, 100'000}) {
      HeldBlock block = Hold(allocator, {.size = size}, size);
      EXPECT_NE(block.ptr, nullptr) << "no block of " << size << " bytes " << when;
      Release(allocator, block);
    }
  };
  use();
  std::thread(use).join();
}

// Allocates and resizes with the nth request to the inner allocator refused, for each n.
void FailEachInTurn(AllocatorRule& rule, Allocator& allocator) {
  constexpr uint64_t kLimit = 2000;
  for (const bool sticky : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      ASSERT_LE(n, kLimit) << "requests do not end";
      // Seen if this hangs.
      std::fprintf(stderr, "request %d of the inner allocator refused\n", static_cast<int>(n));
      Workload workload(allocator, rule.seed() ^ 4, {.max_blocks = 16, .max_size = 4000});
      if (sticky) {
        rule.faults().FailFrom(n);
      } else {
        rule.faults().FailNth(n);
      }
      const bool good = workload.Run(60);
      const bool met = rule.faults().injected() > 0;
      rule.faults().Clear();
      if (!good) return;
      workload.FreeAll();
      if (!met) break;
      ExpectUsable(allocator, "after one that was refused");
      if (testing::Test::HasFailure()) return;
    }
  }
}

uint64_t AddressSpaceBytes() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Until the process may have no more address space.
void UseUp(Allocator& allocator) {
  constexpr size_t kSize = size_t{1} << 20;
  constexpr uint64_t kLeft = 24 * kSize;
  rlimit old_limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &old_limit), 0);
  const rlimit limit = {.rlim_cur = AddressSpaceBytes() + kLeft, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  std::vector<HeldBlock> blocks;
  blocks.reserve(100);
  do {
    blocks.push_back(Hold(allocator, {.size = kSize}, blocks.size() + 1));
  } while (blocks.back().ptr != nullptr && blocks.size() < 100);
  const bool refused = blocks.back().ptr == nullptr;
  for (HeldBlock& block : blocks) Release(allocator, block);
  EXPECT_EQ(setrlimit(RLIMIT_AS, &old_limit), 0);
  EXPECT_TRUE(refused) << "100 MiB were allocated where there are 24";
  ExpectUsable(allocator, "after the address space was used up");
}

void AskForTooMuch(Allocator& allocator) {
  for (const size_t alignment : {1, 16, 64, 4096}) {
    EXPECT_EQ(allocator.Allocate({.size = kHuge, .alignment = alignment}).ptr, nullptr);
    ExpectUsable(allocator, "after a request for half of all bytes");
  }
}

struct Unchanged {
  explicit Unchanged(const Allocator& allocator) : before(allocator.Stats()) {}

  void Expect(const Allocator& allocator, bool failed, const char* after) const {
    const AllocatorStats now = allocator.Stats();
    if (allocator.traits().statistics) {
      EXPECT_EQ(now.failures > before.failures, failed) << "failures counted by " << after;
    }
    EXPECT_EQ(now.live_bytes, before.live_bytes) << "live bytes changed by " << after;
    EXPECT_EQ(now.live_blocks, before.live_blocks) << "live blocks changed by " << after;
    EXPECT_EQ(now.total_blocks, before.total_blocks) << "blocks counted by " << after;
  }

  const AllocatorStats before;
};

// A change of size that is not possible where the block stands is no failure, but an answer.
void ExpectFailedResizeHarmless(AllocatorRule& rule, Allocator& allocator, Layout layout,
                                size_t new_size) {
  HeldBlock block = Hold(allocator, layout, new_size);
  ASSERT_NE(block.ptr, nullptr);
  const Unchanged unchanged(allocator);
  rule.faults().FailFrom(1);
  const bool resized = allocator.TryResize(block.ptr, block.layout, new_size);
  rule.faults().Clear();
  if (resized) {
    EXPECT_NE(new_size, kHuge) << "a block of " << kHuge << " bytes, which nobody has";
    block.layout.size = new_size;
    block.usable = new_size;
    Fill(block);
  } else {
    unchanged.Expect(allocator, false, "a resize that was refused");
  }
  Release(allocator, block);
}

// Grows that the inner allocator refuses.
void ExpectFailedGrowHarmless(AllocatorRule& rule, Allocator& allocator, Layout layout) {
  for (const size_t new_size : {layout.size + 1, layout.size * 2 + 100, size_t{200'000}, kHuge}) {
    HeldBlock block = Hold(allocator, layout, new_size);
    ASSERT_NE(block.ptr, nullptr);
    const Unchanged unchanged(allocator);
    const uintptr_t before = block.begin();
    rule.faults().FailFrom(1);
    const Block moved = allocator.Reallocate(block.ptr, block.layout, new_size);
    rule.faults().Clear();
    if (moved.ptr == nullptr) {
      EXPECT_EQ(moved.size, 0u);
      ASSERT_TRUE(ExpectIntact(block, "by a grow that failed"));
      unchanged.Expect(allocator, true, "a grow that failed");
      EXPECT_EQ(block.begin(), before);
    } else {
      // There was room; a decorator may keep some.
      EXPECT_NE(new_size, kHuge) << "a block of " << kHuge << " bytes, which nobody has";
      block.ptr = static_cast<unsigned char*>(moved.ptr);
      block.layout.size = new_size;
      block.usable = new_size;
      Fill(block);
    }
    Release(allocator, block);
    if (testing::Test::HasFailure()) return;
  }
}

void ExpectErrnoKept(Allocator& allocator, size_t size, size_t alignment) {
  const Layout layout = {.size = size, .alignment = alignment};
  HeldBlock block = Hold(allocator, layout, size + 1);
  if (block.ptr == nullptr) return;
  errno = EXDEV;
  allocator.Deallocate(block.ptr, layout);
  EXPECT_EQ(errno, EXDEV) << "a free of " << Text(layout) << " changed errno";
}

}  // namespace

namespace allocator_rules {

void ALC_4(AllocatorRule& rule) {
  // Making one is an allocation as well.
  SweepAllocations(rule.context(), {},
                   [&] { return rule.TryMake(rule.allocator(), rule.allocator()).status(); });
  if (testing::Test::HasFailure()) return;
  ExpectEnds("use of an allocator after it was refused memory", [&] {
    const Owned<Allocator> allocator = rule.Make();
    ASSERT_NE(allocator, nullptr);
    if (rule.factory().decorates()) FailEachInTurn(rule, *allocator);
  });
  if (testing::Test::HasFailure()) return;
  ExpectEnds("use of an allocator after a request that nobody can fulfil", [&] {
    const Owned<Allocator> allocator = rule.Make();
    ASSERT_NE(allocator, nullptr);
    AskForTooMuch(*allocator);
    // Sanitizers have shadows of their own there.
    if (!rule.factory().decorates() && !kSanitized) UseUp(*allocator);
  });
}

void ALC_5(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  for (const size_t alignment : {1, 16, 64, 1024}) {
    for (const size_t size : {0, 1, 10, 64, 1000, 40'000}) {
      const Layout layout = {.size = size, .alignment = alignment};
      ExpectFailedGrowHarmless(rule, *allocator, layout);
      for (const size_t new_size : {size + 1, size * 2 + 100, size / 2, kHuge}) {
        ExpectFailedResizeHarmless(rule, *allocator, layout, new_size);
      }
      if (testing::Test::HasFailure()) return;
    }
  }
  if (rule.traits().statistics) {
    EXPECT_EQ(allocator->Stats().live_bytes, 0u);
    EXPECT_EQ(allocator->Stats().live_blocks, 0u);
  }
}

void ALC_13(AllocatorRule& rule) {
  const Owned<Allocator> allocator = rule.Make();
  ASSERT_NE(allocator, nullptr);
  for (const size_t size : {0, 1, 24, 512, 4096, 100'000, 1 << 20, 16 << 20}) {
    for (const size_t alignment : {1, 16, 64, 4096}) ExpectErrnoKept(*allocator, size, alignment);
  }
  errno = EXDEV;
  allocator->Deallocate(nullptr, {.size = 8});
  EXPECT_EQ(errno, EXDEV) << "a free of null changed errno";
  // Requests that make no sense are refused or fulfilled, and harm nobody.
  const size_t top = ~(kHuge >> 1) & kHuge;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, top, kHuge, kHuge * 2 + 1}) {
    for (const size_t alignment : {size_t{1}, size_t{1} << 20, top, kHuge + 1}) {
      HeldBlock block = Hold(*allocator, {.size = size, .alignment = alignment}, 7);
      Release(*allocator, block);
    }
  }
  Workload workload(*allocator, rule.seed());
  workload.Run(500);
  workload.FreeAll();
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
