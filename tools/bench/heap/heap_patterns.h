// What is done with a heap while it is measured.
//
// A Heap is a type with
//
//   void* Allocate(size_t size);
//   void Free(void* ptr, size_t size);
//   void* Reallocate(void* ptr, size_t size, size_t new_size);
//
// each of which may be called from every thread of a pattern. They are templates so that a heap is
// called as directly as its users call it. Each pattern runs on `threads` threads, each on one of
// the process's processors where there are enough, prepares itself, and then measures `operations`
// operations of all threads together.

#ifndef TENON_TOOLS_BENCH_HEAP_HEAP_PATTERNS_H_
#define TENON_TOOLS_BENCH_HEAP_HEAP_PATTERNS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {

// What is measured, of which kind, and how much of it.
struct HeapLoad {
  enum class Pattern {
    kReplace,           // frees one of `live` blocks of `size` bytes, allocates another
    kLarson,            // the same with sizes from 16 to 1,024; threads exchange their blocks
    kProducerConsumer,  // one thread allocates, another frees; 2 threads
    kCacheScratch,      // each thread writes to small blocks that lay beside the others'
    kGrow,              // reallocates a block from 16 bytes to 64 KiB by halves of its size
  };

  Pattern pattern = Pattern::kReplace;
  int threads = 1;
  size_t size = 64;
  size_t live = 64;
  int64_t operations = 0;
};

// Runs `body(thread)` on each of `threads` threads and measures them together, from when all are
// there until the last has returned. Errors: a thread cannot be started or kept on its processor.
absl::Status RunThreads(int threads, int64_t operations, Stopwatch& stopwatch,
                        absl::FunctionRef<void(int thread)> body);

// Turns until `done()`, giving way where that takes longer than a turn of the other's should.
template <typename Done>
void SpinUntil(Done done) {
  for (int turns = 1; !done(); ++turns) {
    if (turns % 4096 == 0) std::this_thread::yield();
  }
}

// xorshift64* (Vigna 2016): a few instructions for each number, so that what is measured is not it.
class HeapRandom {
 public:
  explicit HeapRandom(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  // Uniform in [0, range). REQUIRES: 0 < range < 2^32.
  size_t Below(size_t range) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return ((state_ * 0x2545f4914f6cdd1d >> 32) * range) >> 32;
  }
  // From 16 to 1,024 bytes, each power of two as likely as the others.
  size_t Size() { return (size_t{16} << Below(6)) + Below(16) * Below(2); }

 private:
  uint64_t state_;
};

struct HeapBlock {
  void* ptr = nullptr;
  size_t size = 0;
};

// Allocates, and writes where a user's first and last bytes would be.
template <typename Heap>
HeapBlock AllocateTouched(Heap& heap, size_t size) {
  auto* const bytes = static_cast<unsigned char*>(heap.Allocate(size));
  bytes[0] = 1;
  bytes[size - 1] = 1;
  return {bytes, size};
}

template <typename Heap>
void FreeAll(Heap& heap, std::vector<HeapBlock>& blocks) {
  for (const HeapBlock& block : blocks) heap.Free(block.ptr, block.size);
}

template <typename Heap>
absl::Status RunReplace(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  std::vector<std::vector<HeapBlock>> blocks(static_cast<size_t>(load.threads));
  for (std::vector<HeapBlock>& own : blocks) {
    for (size_t i = 0; i < load.live; ++i) own.push_back(AllocateTouched(heap, load.size));
  }
  absl::Status status = RunThreads(load.threads, load.operations, stopwatch, [&](int thread) {
    std::vector<HeapBlock>& own = blocks[static_cast<size_t>(thread)];
    HeapRandom random(static_cast<uint64_t>(thread) + 1);
    for (int64_t i = load.operations / load.threads; i > 0; --i) {
      HeapBlock& block = own[random.Below(own.size())];
      heap.Free(block.ptr, block.size);
      block = AllocateTouched(heap, load.size);
    }
  });
  for (std::vector<HeapBlock>& own : blocks) FreeAll(heap, own);
  return status;
}

// After Larson and Krishnan, "Memory allocation for long-running server applications" (ISMM 1998):
// a thread's blocks pass to the next thread again and again, as requests do in a server.
template <typename Heap>
absl::Status RunLarson(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  constexpr int kExchanges = 32;
  const auto threads = static_cast<size_t>(load.threads);
  std::vector<std::vector<HeapBlock>> blocks(threads);
  HeapRandom sizes(7);
  for (std::vector<HeapBlock>& own : blocks) {
    for (size_t i = 0; i < load.live; ++i) own.push_back(AllocateTouched(heap, sizes.Size()));
  }
  std::atomic<int> arrived{0};
  absl::Status status = RunThreads(load.threads, load.operations, stopwatch, [&](int thread) {
    HeapRandom random(static_cast<uint64_t>(thread) + 1);
    for (int exchange = 0; exchange < kExchanges; ++exchange) {
      std::vector<HeapBlock>& own = blocks[static_cast<size_t>(thread + exchange) % threads];
      for (int64_t i = load.operations / load.threads / kExchanges; i > 0; --i) {
        HeapBlock& block = own[random.Below(own.size())];
        heap.Free(block.ptr, block.size);
        block = AllocateTouched(heap, random.Size());
      }
      // The others' blocks are taken over when all have let go of them.
      arrived.fetch_add(1, std::memory_order_acq_rel);
      SpinUntil(
          [&] { return arrived.load(std::memory_order_acquire) >= (exchange + 1) * load.threads; });
    }
  });
  for (std::vector<HeapBlock>& own : blocks) FreeAll(heap, own);
  return status;
}

// After xmalloc-test (Lever and Boreham, "malloc() performance in a multithreaded Linux
// environment", USENIX 2000): no block is freed where it was allocated.
template <typename Heap>
absl::Status RunProducerConsumer(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  constexpr size_t kQueue = 1024;
  std::vector<HeapBlock> queue(kQueue);
  alignas(64) std::atomic<size_t> written{0};
  alignas(64) std::atomic<size_t> read{0};
  const auto total = static_cast<size_t>(load.operations);
  return RunThreads(2, load.operations, stopwatch, [&](int thread) {
    HeapRandom random(1);
    size_t limit = 0;
    for (size_t i = 0; i < total; ++i) {
      if (thread == 0) {
        if (i - limit >= kQueue) {
          SpinUntil([&] { return i - (limit = read.load(std::memory_order_acquire)) < kQueue; });
        }
        queue[i % kQueue] = AllocateTouched(heap, random.Size());
        written.store(i + 1, std::memory_order_release);
      } else {
        if (i >= limit) {
          SpinUntil([&] { return i < (limit = written.load(std::memory_order_acquire)); });
        }
        const HeapBlock block = queue[i % kQueue];
        read.store(i + 1, std::memory_order_release);
        heap.Free(block.ptr, block.size);
      }
    }
  });
}

// After Hoard's cache-scratch (Berger et al., ASPLOS 2000): a heap that hands the memory of a
// neighbour's freed block to another thread makes both share its cache line.
template <typename Heap>
absl::Status RunCacheScratch(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  constexpr int kWrites = 100;
  std::vector<HeapBlock> first;
  for (int i = 0; i < load.threads; ++i) first.push_back(AllocateTouched(heap, load.size));
  return RunThreads(load.threads, load.operations, stopwatch, [&](int thread) {
    HeapBlock block = first[static_cast<size_t>(thread)];
    for (int64_t i = load.operations / load.threads; i > 0; --i) {
      heap.Free(block.ptr, block.size);
      block = AllocateTouched(heap, load.size);
      auto* const bytes = static_cast<volatile unsigned char*>(block.ptr);
      for (int write = 0; write < kWrites; ++write) bytes[0] = static_cast<unsigned char>(write);
    }
    heap.Free(block.ptr, block.size);
  });
}

template <typename Heap>
absl::Status RunGrow(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  constexpr size_t kSmallest = 16;
  constexpr size_t kLargest = 64 << 10;
  return RunThreads(load.threads, load.operations, stopwatch, [&](int /*thread*/) {
    HeapBlock block = AllocateTouched(heap, kSmallest);
    for (int64_t i = load.operations / load.threads; i > 0; --i) {
      if (block.size == kLargest) {
        heap.Free(block.ptr, block.size);
        block = AllocateTouched(heap, kSmallest);
      }
      const size_t size = std::min(block.size + block.size / 2, kLargest);
      block = {heap.Reallocate(block.ptr, block.size, size), size};
      static_cast<unsigned char*>(block.ptr)[size - 1] = 1;
    }
    heap.Free(block.ptr, block.size);
  });
}

template <typename Heap>
absl::Status RunPattern(Heap& heap, const HeapLoad& load, Stopwatch& stopwatch) {
  switch (load.pattern) {
    case HeapLoad::Pattern::kReplace:
      return RunReplace(heap, load, stopwatch);
    case HeapLoad::Pattern::kLarson:
      return RunLarson(heap, load, stopwatch);
    case HeapLoad::Pattern::kProducerConsumer:
      return RunProducerConsumer(heap, load, stopwatch);
    case HeapLoad::Pattern::kCacheScratch:
      return RunCacheScratch(heap, load, stopwatch);
    case HeapLoad::Pattern::kGrow:
      return RunGrow(heap, load, stopwatch);
  }
  return absl::InternalError("no such pattern");
}

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_HEAP_HEAP_PATTERNS_H_
