#include "tenon/alloc/live_blocks/live_blocks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tenon::alloc {
namespace {

constexpr Layout kLayout{.size = 64, .alignment = 16};

class LiveBlocksTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kRemembersLiveBlocks) GTEST_SKIP() << "this build remembers no live blocks";
  }
  void TearDown() override { ForgetLiveBlocks(owner_); }

  // An address: nothing is stored there.
  const void* At(uintptr_t number) const {
    return reinterpret_cast<const void*>(0x10000 + 16 * number);
  }

  int id_ = 0;
  const LiveBlockOwner owner_{.name = "test", .id = &id_};
};

using LiveBlocksDeathTest = LiveBlocksTest;

TEST_F(LiveBlocksDeathTest, FreedTwice) {
  AddLiveBlock(owner_, At(1), kLayout);
  RemoveLiveBlock(owner_, "Deallocate", At(1), kLayout);
  EXPECT_DEATH(
      RemoveLiveBlock(owner_, "Deallocate", At(1), kLayout),
      "test: Deallocate of 0x10010, which is not live: freed twice, or not allocated here");
}

TEST_F(LiveBlocksDeathTest, FreedByAWrongLayout) {
  AddLiveBlock(owner_, At(1), kLayout);
  EXPECT_DEATH(RemoveLiveBlock(owner_, "Deallocate", At(1), {.size = 32, .alignment = 16}),
               "test: Deallocate of 0x10010, which was allocated with 64 bytes, not 32");
  EXPECT_DEATH(CheckLiveBlock(owner_, "TryResize", At(1), {.size = 64, .alignment = 8}),
               "test: TryResize of 0x10010, which was allocated with alignment 16, not 8");
}

TEST_F(LiveBlocksDeathTest, FreedElsewhere) {
  const LiveBlockOwner other{.name = "other", .id = &other};
  AddLiveBlock(owner_, At(1), kLayout);
  EXPECT_DEATH(RemoveLiveBlock(other, "Deallocate", At(1), kLayout), "other: .* is not live");
}

TEST_F(LiveBlocksDeathTest, HandedOutTwice) {
  AddLiveBlock(owner_, At(1), kLayout);
  EXPECT_DEATH(AddLiveBlock(owner_, At(1), kLayout), "about to return 0x10010, which is live");
}

TEST_F(LiveBlocksTest, AnAddressMayHaveSeveralOwners) {
  const LiveBlockOwner other{.name = "other", .id = &other};
  AddLiveBlock(owner_, At(1), kLayout);
  AddLiveBlock(other, At(1), {.size = 1, .alignment = 1});
  CheckLiveBlock(owner_, "TryResize", At(1), kLayout);
  RemoveLiveBlock(owner_, "Deallocate", At(1), kLayout);
  RemoveLiveBlock(other, "Deallocate", At(1), {.size = 1, .alignment = 1});
}

TEST_F(LiveBlocksDeathTest, ForgettingIsByOwner) {
  const LiveBlockOwner other{.name = "other", .id = &other};
  for (uintptr_t i = 0; i < 1000; ++i) {
    AddLiveBlock(owner_, At(i), kLayout);
    AddLiveBlock(other, At(i), kLayout);
  }
  ForgetLiveBlocks(owner_);
  EXPECT_DEATH(CheckLiveBlock(owner_, "TryResize", At(7), kLayout), "is not live");
  for (uintptr_t i = 0; i < 1000; ++i) {
    RemoveLiveBlock(other, "Deallocate", At(i), kLayout);
    AddLiveBlock(owner_, At(i), kLayout);  // dies if it had been kept
  }
}

size_t Mappings() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

TEST_F(LiveBlocksDeathTest, AnyNumberIsRememberedAndTheTableShrinks) {
  constexpr uintptr_t kBlocks = 200'000;
  const size_t before = Mappings();
  for (uintptr_t i = 0; i < kBlocks; ++i) AddLiveBlock(owner_, At(i), {.size = i, .alignment = 1});
  for (uintptr_t i = 0; i < kBlocks; i += 2) {
    RemoveLiveBlock(owner_, "Deallocate", At(i), {.size = i, .alignment = 1});
  }
  EXPECT_DEATH(RemoveLiveBlock(owner_, "Deallocate", At(4), {.size = 4, .alignment = 1}), "live");
  for (uintptr_t i = 1; i < kBlocks; i += 2) {
    RemoveLiveBlock(owner_, "Deallocate", At(i), {.size = i, .alignment = 1});
  }
  EXPECT_LE(Mappings(), before);
}

TEST_F(LiveBlocksTest, PreservesErrno) {
  errno = EXDEV;
  for (uintptr_t i = 0; i < 20'000; ++i) AddLiveBlock(owner_, At(i), kLayout);
  ForgetLiveBlocks(owner_);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(LiveBlocksTest, AForkedChildFindsNoLockHeld) {
  std::atomic<bool> stop = false;
  std::thread other([&] {
    int id = 0;
    const LiveBlockOwner owner{.name = "other", .id = &id};
    for (uintptr_t i = 0; !stop; i = (i + 1) % 100) {
      AddLiveBlock(owner, At(i), kLayout);
      RemoveLiveBlock(owner, "Deallocate", At(i), kLayout);
    }
  });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (uintptr_t i = 0; i < 100; ++i) AddLiveBlock(owner_, At(i), kLayout);
      ::_exit(0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  other.join();
}

TEST_F(LiveBlocksTest, ManyThreads) {
  std::vector<std::thread> threads;
  for (uintptr_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (uintptr_t i = 0; i < 5000; ++i) AddLiveBlock(owner_, At(4 * i + t), kLayout);
      for (uintptr_t i = 0; i < 5000; ++i) {
        RemoveLiveBlock(owner_, "Deallocate", At(4 * i + t), kLayout);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tenon::alloc
