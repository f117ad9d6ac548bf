#include "tenon/conformance/ledger/ledger.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <barrier>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(LedgerTest, NothingHappenedIsNoDifference) {
  const Ledger ledger;
  EXPECT_THAT(ledger.Differences(), IsEmpty());
}

TEST(LedgerTest, FindsALeakedDescriptor) {
  const Ledger ledger;
  const UniqueFd leaked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(leaked.ok());
  EXPECT_THAT(
      ledger.Differences(),
      ElementsAre(AllOf(HasSubstr("descriptor " + std::to_string(leaked.get()) + " -> socket:["),
                        HasSubstr("was not there before"))));
}

TEST(LedgerTest, FindsAClosedDescriptor) {
  UniqueFd closed(eventfd(0, EFD_CLOEXEC));
  ASSERT_TRUE(closed.ok());
  const Ledger ledger;
  closed.Reset();
  EXPECT_THAT(ledger.Differences(), ElementsAre(HasSubstr("is no longer there")));
}

TEST(LedgerTest, FindsANumberThatMeansAnotherFile) {
  const UniqueFd replaced(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(replaced.ok());
  const Ledger ledger;
  {
    const UniqueFd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(dup3(other.get(), replaced.get(), O_CLOEXEC), replaced.get());
  }
  EXPECT_THAT(ledger.Differences(),
              ElementsAre(AllOf(HasSubstr("socket:["), HasSubstr("was socket:["))));
}

TEST(LedgerTest, FindsALeakedThread) {
  std::barrier end(2);
  const Ledger ledger;
  std::thread leaked([&] { end.arrive_and_wait(); });
  EXPECT_THAT(ledger.Differences(),
              ElementsAre(AllOf(HasSubstr("thread "), HasSubstr("was not there before"))));
  end.arrive_and_wait();
  leaked.join();
  EXPECT_THAT(ledger.Differences(), IsEmpty());
}

TEST(LedgerTest, LeavesOutTheThreadOfARing) {
  io_uring_params parameters = {};
  parameters.flags = IORING_SETUP_SQPOLL;  // a thread of the kernel's, at once
  const Ledger ledger;
  const UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
  if (!ring.ok()) return;  // not on this kernel
  EXPECT_THAT(ledger.Differences(), ElementsAre(HasSubstr("descriptor ")));
}

TEST(LedgerTest, FindsALeakedNamedMapping) {
  const long page = sysconf(_SC_PAGESIZE);
  const Ledger ledger;
  void* const leaked =
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(leaked, MAP_FAILED);
  EXPECT_THAT(ledger.Differences(), ElementsAre(HasSubstr("mapping /dev/zero")));
  munmap(leaked, page);
  EXPECT_THAT(ledger.Differences(), IsEmpty());
}

TEST(LedgerTest, FindsLeakedAnonymousMemory) {
  const size_t size = 16 * sysconf(_SC_PAGESIZE);
  if (TakeSnapshot(nullptr).anonymous.empty()) return;  // a sanitizer's look the same
  const Ledger ledger;
  void* const leaked =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(leaked, MAP_FAILED);
  EXPECT_THAT(ledger.NewAnonymousMemory(),
              testing::Contains(HasSubstr(std::to_string(size) + " bytes of anonymous memory")));
  munmap(leaked, size);
}

TEST(LedgerTest, FindsLiveBlocks) {
  TrackingAllocator allocator;
  const Block before = allocator.Allocate({.size = 8});
  const Ledger ledger(&allocator);
  const Block leaked = allocator.Allocate({.size = 100});
  EXPECT_THAT(ledger.Differences(),
              ElementsAre("1 blocks (100 bytes) of the rule's allocator are live that were not "
                          "before: block 2 of 100 bytes"));
  allocator.Deallocate(leaked.ptr, {.size = 100});
  EXPECT_THAT(ledger.Differences(), IsEmpty());
  allocator.Deallocate(before.ptr, {.size = 8});
  EXPECT_THAT(ledger.Differences(),
              ElementsAre("1 blocks (8 bytes) of the rule's allocator were freed that were live "
                          "before"));
}

TEST(LedgerTest, FindsMisuseOfTheAllocator) {
  TrackingAllocator allocator;
  const Ledger ledger(&allocator);
  const Block block = allocator.Allocate({.size = 8});
  allocator.Deallocate(block.ptr, {.size = 8});
  allocator.Deallocate(block.ptr, {.size = 8});
  EXPECT_THAT(ledger.Differences(), ElementsAre(HasSubstr("freed twice")));
}

TEST(LedgerTest, MarkStartsAgain) {
  Ledger ledger;
  const UniqueFd kept(eventfd(0, EFD_CLOEXEC));
  ledger.Mark();
  EXPECT_THAT(ledger.Differences(), IsEmpty());
}

}  // namespace
}  // namespace tenon::conformance
