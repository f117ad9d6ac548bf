#include "tenon/alloc/generation/generation.h"

#include <array>
#include <bit>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

TEST(GenerationTest, NoTwoDrawsAreTheSameOnAnyThread) {
  std::array<std::vector<uint64_t>, 4> drawn;
  std::vector<std::thread> threads;
  for (std::vector<uint64_t>& own : drawn) {
    threads.emplace_back([&own] {
      for (int i = 0; i < 10'000; ++i) own.push_back(DrawGeneration());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint64_t> all;
  for (const std::vector<uint64_t>& own : drawn) all.insert(own.begin(), own.end());
  EXPECT_EQ(all.size(), 40'000u);
  EXPECT_FALSE(all.contains(0));
}

TEST(GenerationTest, ConsecutiveDrawsDifferInBothHalves) {
  uint64_t last = DrawGeneration();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t next = DrawGeneration();
    const uint64_t difference = last ^ next;
    EXPECT_GE(std::popcount(difference >> 32), 4);
    EXPECT_GE(std::popcount(difference & 0xffffffff), 4);
    last = next;
  }
}

}  // namespace
}  // namespace tenon::alloc
