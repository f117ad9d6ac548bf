// Linked with malloc = ":malloc".

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "gtest/gtest.h"
#include "jemalloc/jemalloc.h"
#include "tenon/alloc/system/system_allocator.h"

namespace {

#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
constexpr bool kReplaced = false;
#else
constexpr bool kReplaced = true;
#endif

// Bytes that jemalloc has given to the calling thread so far.
uint64_t AllocatedHere() {
  uint64_t bytes = 0;
  size_t size = sizeof(bytes);
  EXPECT_EQ(je_mallctl("thread.allocated", &bytes, &size, nullptr, 0), 0);
  return bytes;
}

// Expects that what `allocate` returns has come from jemalloc, and frees it with the C library's
// name.
template <typename Allocate>
void ExpectFromJemalloc(const char* what, size_t size, Allocate allocate) {
  const uint64_t before = AllocatedHere();
  void* const ptr = allocate();
  const uint64_t after = AllocatedHere();
  ASSERT_NE(ptr, nullptr) << what;
  std::memset(ptr, 1, size);
  EXPECT_GE(malloc_usable_size(ptr), size) << what;
  if (kReplaced) {
    EXPECT_EQ(after - before, malloc_usable_size(ptr)) << what;
  } else {
    EXPECT_EQ(after, before) << what;
  }
  std::free(ptr);
}

// Not constants, so that no pair of calls is optimised away.
volatile size_t bytes = 100;
volatile size_t huge = std::numeric_limits<size_t>::max() - 100;

TEST(MallocTest, EveryNameAllocatesFromJemalloc) {
  ExpectFromJemalloc("malloc", 100, [] { return std::malloc(bytes); });
  ExpectFromJemalloc("calloc", 100, [] { return std::calloc(bytes, 1); });
  ExpectFromJemalloc("realloc", 100, [] { return std::realloc(nullptr, bytes); });
  ExpectFromJemalloc("memalign", 100, [] { return memalign(64, bytes); });
  ExpectFromJemalloc("aligned_alloc", 128, [] { return std::aligned_alloc(64, bytes + 28); });
  ExpectFromJemalloc("valloc", 100, [] { return valloc(bytes); });
  ExpectFromJemalloc("pvalloc", 4096, [] { return pvalloc(bytes); });
  ExpectFromJemalloc("posix_memalign", 100, [] {
    void* ptr = nullptr;
    EXPECT_EQ(posix_memalign(&ptr, 64, bytes), 0);
    return ptr;
  });
  ExpectFromJemalloc("reallocarray", 100, [] { return reallocarray(nullptr, bytes, 1); });
  ExpectFromJemalloc("strdup", 4, [] { return static_cast<void*>(strdup("abc")); });
}

TEST(MallocTest, OperatorNewAllocatesFromJemalloc) {
  const uint64_t before = AllocatedHere();
  std::string text(bytes * 10, 'x');
  struct alignas(256) Aligned {
    char data[256];
  };
  std::vector<Aligned> aligned(bytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned.data()) % 256, 0u);
  EXPECT_EQ(AllocatedHere() - before >= 1000 + 25'600, kReplaced);
}

TEST(MallocTest, WantOfMemoryIsAnAnswer) {
  if (!kReplaced) GTEST_SKIP() << "the sanitizer answers";
  errno = 0;
  EXPECT_EQ(std::malloc(huge), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(pvalloc(huge + 50), nullptr);
  EXPECT_EQ(std::calloc(huge, 2), nullptr);
  EXPECT_THROW(static_cast<void>(::operator new(huge)), std::bad_alloc);
  void* const ptr = std::malloc(bytes);
  ASSERT_NE(ptr, nullptr);
  EXPECT_EQ(std::realloc(ptr, huge), nullptr);
  std::free(ptr);
}

// jemalloc's hooks for the pages of an arena, of which those that give pages back change errno.
extent_hooks_t* default_hooks = nullptr;

template <auto kHook, typename... Args>
bool ChangeErrno(extent_hooks_t* /*hooks*/, Args... args) {
  const bool failed = (default_hooks->*kHook)(default_hooks, args...);
  errno = EBADF;
  return failed;
}

// A block of an arena that gives pages back as soon as they are free.
void* BlockThatIsGivenBackAtOnce(size_t size) {
  unsigned index = 0;
  size_t index_size = sizeof(index);
  EXPECT_EQ(je_mallctl("arenas.create", &index, &index_size, nullptr, 0), 0);
  const std::string arena = "arena." + std::to_string(index);
  ssize_t at_once = 0;
  for (const char* decay : {".dirty_decay_ms", ".muzzy_decay_ms"}) {
    EXPECT_EQ(je_mallctl((arena + decay).c_str(), nullptr, nullptr, &at_once, sizeof(at_once)), 0);
  }
  static extent_hooks_t hooks;
  extent_hooks_t* old = nullptr;
  size_t old_size = sizeof(old);
  const std::string name = arena + ".extent_hooks";
  EXPECT_EQ(je_mallctl(name.c_str(), &old, &old_size, nullptr, 0), 0);
  default_hooks = old;
  hooks = *old;
  hooks.dalloc = &ChangeErrno<&extent_hooks_t::dalloc>;
  hooks.decommit = &ChangeErrno<&extent_hooks_t::decommit>;
  hooks.purge_lazy = &ChangeErrno<&extent_hooks_t::purge_lazy>;
  hooks.purge_forced = &ChangeErrno<&extent_hooks_t::purge_forced>;
  extent_hooks_t* const replaced = &hooks;
  EXPECT_EQ(je_mallctl(name.c_str(), nullptr, nullptr, const_cast<extent_hooks_t**>(&replaced),
                       sizeof(replaced)),
            0);
  return je_mallocx(size, MALLOCX_ARENA(index) | MALLOCX_TCACHE_NONE);
}

TEST(MallocTest, AFreePreservesErrno) {
  if (!kReplaced) GTEST_SKIP() << "the sanitizer frees";
  constexpr size_t kSize = size_t{8} << 20;
  void* ptr = BlockThatIsGivenBackAtOnce(kSize);
  ASSERT_NE(ptr, nullptr);
  errno = 0;
  je_free(ptr);
  ASSERT_EQ(errno, EBADF) << "nothing was given back, so that nothing is tested";
  ptr = BlockThatIsGivenBackAtOnce(kSize);
  ASSERT_NE(ptr, nullptr);
  errno = EXDEV;
  std::free(ptr);
  EXPECT_EQ(errno, EXDEV);
  ptr = BlockThatIsGivenBackAtOnce(kSize);
  ASSERT_NE(ptr, nullptr);
  errno = EXDEV;
  EXPECT_EQ(std::realloc(ptr, bytes - 100), nullptr);
  EXPECT_EQ(errno, EXDEV);
}

TEST(MallocTest, TheSystemAllocatorKeepsItsAlignmentForBlocksSmallerThanIt) {
  tenon::alloc::SystemAllocator system;
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) {
    for (const size_t size : {0, 1, 8, 15}) {
      const tenon::Block block = system.Allocate({.size = size, .alignment = 16});
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % 16, 0u) << size << " bytes";
      tenon::Block moved = system.Reallocate(block.ptr, {.size = size, .alignment = 16}, 100);
      moved = system.Reallocate(moved.ptr, {.size = 100, .alignment = 16}, 8);
      ASSERT_NE(moved.ptr, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(moved.ptr) % 16, 0u) << "8 bytes, shrunk from 100";
      blocks.push_back(moved.ptr);
    }
  }
  for (void* ptr : blocks) system.Deallocate(ptr, {.size = 8, .alignment = 16});
}

TEST(MallocTest, ThreadsAllocateAndEnd) {
  for (int i = 0; i < 20; ++i) {
    std::thread([] {
      const std::vector<std::string> texts(100, std::string(bytes, 'x'));
      EXPECT_EQ(texts.back().size(), 100u);
    }).join();
  }
}

TEST(MallocTest, AForkedChildAllocates) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string text(bytes * 100, 'x');
    _exit(text.size() == 10'000 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
