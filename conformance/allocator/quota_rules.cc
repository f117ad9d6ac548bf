// ALC-17: what a quota charges.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/allocator/workload.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

constexpr int kThreads = 3;

// Fills the quota to the last byte, twice.
void FillExactly(Allocator& allocator, uint64_t quota) {
  constexpr int kParts = 16;
  std::vector<Block> blocks;
  const Layout part = {.size = static_cast<size_t>(quota / kParts)};
  for (int i = 0; i < kParts; ++i) {
    blocks.push_back(allocator.Allocate(part));
    ASSERT_NE(blocks.back().ptr, nullptr) << "part " << i + 1 << " of " << kParts << " of a quota";
  }
  const size_t left = static_cast<size_t>(quota % kParts);
  const Block rest = allocator.Allocate({.size = left});
  EXPECT_NE(rest.ptr, nullptr) << "the last " << left << " bytes of a quota";
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(allocator.Allocate({.size = 1}).ptr, nullptr) << "a byte more than the quota";
    EXPECT_EQ(allocator.Reallocate(blocks[0].ptr, part, part.size + 1).ptr, nullptr)
        << "a block grew beyond the quota";
    EXPECT_FALSE(allocator.TryResize(blocks[0].ptr, part, part.size + 1))
        << "a block grew beyond the quota where it stands";
    if (testing::Test::HasFailure()) return;
  }
  // What is free again is there, all of it, although more was refused meanwhile.
  for (int i = 0; i < 3; ++i) {
    allocator.Deallocate(blocks[1].ptr, part);
    EXPECT_EQ(allocator.Allocate({.size = part.size + 1}).ptr, nullptr) << "beyond the quota";
    blocks[1] = allocator.Allocate(part);
    ASSERT_NE(blocks[1].ptr, nullptr)
        << "bytes of a quota are missing after some were refused and others freed";
  }
  allocator.Deallocate(rest.ptr, {.size = left});
  for (const Block& block : blocks) allocator.Deallocate(block.ptr, part);
}

// Exactly `bytes` of the quota are free.
void ExpectFree(Allocator& allocator, size_t bytes, const char* when) {
  EXPECT_EQ(allocator.Allocate({.size = bytes + 1}).ptr, nullptr)
      << "more than the " << bytes << " bytes that a quota has left " << when;
  const Block all = allocator.Allocate({.size = bytes});
  EXPECT_NE(all.ptr, nullptr) << "not all of the " << bytes << " bytes that a quota has left "
                              << when;
  allocator.Deallocate(all.ptr, {.size = bytes});
}

// A resize is charged by the difference: what a block grows by must be free, and no more.
void ResizeWithin(Allocator& allocator, uint64_t quota) {
  const size_t quarter = static_cast<size_t>(quota / 4);
  const size_t all = quarter * 4;
  const Layout other = {.size = quarter + static_cast<size_t>(quota % 4)};
  const Block rest = allocator.Allocate(other);
  Layout layout = {.size = quarter * 2};
  Block block = allocator.Allocate(layout);
  ASSERT_TRUE(rest.ptr != nullptr && block.ptr != nullptr) << "three quarters of a quota";
  block = allocator.Reallocate(block.ptr, layout, quarter * 3);
  ASSERT_NE(block.ptr, nullptr) << "a grow by a quarter of a quota, which was free, was refused";
  layout.size = quarter * 3;
  ExpectFree(allocator, 0, "after a grow that took the last of it");
  block = allocator.Reallocate(block.ptr, layout, quarter / 2);
  ASSERT_NE(block.ptr, nullptr) << "a shrink within the quota was refused";
  layout.size = quarter / 2;
  ExpectFree(allocator, all - quarter - layout.size, "after a shrink");
  if (allocator.TryResize(block.ptr, layout, quarter / 4)) layout.size = quarter / 4;
  ExpectFree(allocator, all - quarter - layout.size, "after a shrink in place");
  if (allocator.TryResize(block.ptr, layout, quarter / 3)) layout.size = quarter / 3;
  ExpectFree(allocator, all - quarter - layout.size, "after a grow in place");
  allocator.Deallocate(block.ptr, layout);
  allocator.Deallocate(rest.ptr, other);
}

// Whatever else is charged, no more than the quota is live, and what is refused takes nothing away.
void StayWithin(Allocator& allocator, uint64_t quota) {
  constexpr size_t kParts = 16;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(allocator.Allocate({.size = static_cast<size_t>(quota) + 1}).ptr, nullptr)
        << "a byte more than the quota";
  }
  const Layout part = {.size = static_cast<size_t>(quota / kParts)};
  std::vector<Block> blocks;
  for (;;) {
    const Block block = allocator.Allocate(part);
    if (block.ptr == nullptr) break;
    blocks.push_back(block);
    ASSERT_LE(blocks.size(), kParts) << "parts of a quota were allocated that are more than it";
  }
  EXPECT_FALSE(blocks.empty()) << "bytes of a quota are missing after some were refused";
  for (const Block& block : blocks) allocator.Deallocate(block.ptr, part);
}

// Counts the bytes that threads hold for certain.
class Held {
 public:
  void Add(uint64_t bytes) {
    const uint64_t now = bytes_.fetch_add(bytes) + bytes;
    uint64_t seen = most_.load();
    while (seen < now && !most_.compare_exchange_weak(seen, now)) {
    }
  }
  void Remove(uint64_t bytes) { bytes_.fetch_sub(bytes); }
  uint64_t most() const { return most_.load(); }

 private:
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> most_ = 0;
};

// Allocates, resizes and frees, one block at a time.
void FightAlone(Allocator& allocator, uint64_t most_bytes, uint64_t seed, Held& held) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < Scaled(3000); ++i) {
    Layout layout = {.size = static_cast<size_t>(random() % most_bytes)};
    Block block = allocator.Allocate(layout);
    if (block.ptr == nullptr) continue;
    held.Add(layout.size);
    if (random() % 4 == 0) std::this_thread::yield();
    if (random() % 4 == 0) {
      const size_t new_size = static_cast<size_t>(random() % most_bytes);
      const size_t kept = std::min(layout.size, new_size);
      held.Remove(layout.size - kept);
      const Block moved = allocator.Reallocate(block.ptr, layout, new_size);
      if (moved.ptr != nullptr) {
        held.Add(new_size - kept);
        block = moved;
        layout.size = new_size;
      } else {
        held.Add(layout.size - kept);
      }
    }
    held.Remove(layout.size);
    allocator.Deallocate(block.ptr, layout);
  }
}

// Threads that fight for the last of it never have more than that. It is little, because blocks are
// copied when they move.
void FightForTheLast(Allocator& allocator, uint64_t quota, bool exact) {
  const uint64_t last = quota / 64;
  const Layout most = {.size = static_cast<size_t>(quota - last)};
  const Block taken = allocator.Allocate(most);
  ASSERT_NE(taken.ptr, nullptr) << most.size << " bytes of a quota of " << quota;
  Held held;
  OnThreads(kThreads, [&](int thread) {
    FightAlone(allocator, last * 2 / kThreads, static_cast<uint64_t>(thread), held);
  });
  allocator.Deallocate(taken.ptr, most);
  EXPECT_LE(held.most(), last) << "threads together held more than the quota";
  EXPECT_TRUE(!exact || held.most() > last / 2) << "the quota was never nearly used up";
}

}  // namespace

namespace allocator_rules {

void ALC_17(AllocatorRule& rule) {
  const uint64_t quota = rule.traits().quota_bytes;
  const bool exact = rule.traits().exact_quota;
  const Owned<Allocator> allocator = rule.MakeOverSystem();
  ASSERT_NE(allocator, nullptr);
  const auto fill = exact ? &FillExactly : &StayWithin;
  fill(*allocator, quota);
  if (testing::Test::HasFailure()) return;
  if (exact) ResizeWithin(*allocator, quota);
  if (testing::Test::HasFailure()) return;
  if (rule.traits().thread_safe) FightForTheLast(*allocator, quota, exact);
  if (testing::Test::HasFailure()) return;
  // What was refused, and what was resized, has been given back by now.
  fill(*allocator, quota);
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
