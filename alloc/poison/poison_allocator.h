// A decorator that finds writes outside of blocks and into freed ones.

#ifndef TENON_ALLOC_POISON_POISON_ALLOCATOR_H_
#define TENON_ALLOC_POISON_POISON_ALLOCATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/threads/lock.h"
#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// What was found wrong with a block.
struct PoisonReport {
  enum class Kind {
    kOverrun,         // bytes behind the block were written
    kUnderrun,        // bytes in front of the block were written
    kWriteAfterFree,  // bytes of a freed block were written
    kDoubleFree,      // the block was freed before
    kWrongLayout,     // the block was allocated with another size or alignment
    kUnknownBlock,    // not allocated here, or more in front of it was written than the red zone
  };

  Kind kind = Kind::kUnknownBlock;
  // The operation that found it, such as "Deallocate"; not the one that did it.
  const char* operation = "";
  const void* ptr = nullptr;
  // The layout given by the caller; that of the block where nobody gave one.
  Layout given;
  // Of the block, where it is known (not for kUnknownBlock): its layout, the number of its
  // allocation, counted from 1 in about the order of allocation, and where it was allocated.
  Layout layout;
  uint64_t number = 0;
  std::source_location site;
  // The first byte that was written, counted from the start of the block; negative in front of it.
  ptrdiff_t offset = 0;

  // One line for people.
  std::string Text() const;
};

struct PoisonOptions {
  // Bytes in front of and behind each block whose writing is noticed. Rounded up to a multiple of
  // 16, from 16 bytes to 1 MiB.
  size_t red_zone = 16;
  // Bytes of freed blocks, with all that surrounds them, that are withheld from the inner
  // allocator. 0 is none; a block that is larger is not withheld.
  size_t quarantine = size_t{1} << 20;
  // Called for each finding, with the context, on the thread that made the operation, without
  // locks. Null ends the process with the report's text. Must not use this allocator.
  void (*handler)(void* context, const PoisonReport& report) = nullptr;
  void* context = nullptr;
};

// Surrounds each block with red zones; fills new memory with 0xCD and freed memory with 0xDD; and
// withholds freed blocks for a while, in the order in which they were freed. Red zones are checked
// when a block is freed or resized, freed blocks when they leave the quarantine: at the latest when
// the allocator is destroyed. Under the address sanitizer, red zones and freed blocks are poisoned
// as well, so that it reports a read or write when it happens.
//
// Where the handler returns, a block that was freed before or is unknown remains as it is, and one
// with another finding is treated by what is known of it.
//
// Where the inner allocator has no memory, all of the quarantine is given back to it, and it is
// asked again: the quarantine makes no allocation fail.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator.
// Shutdown: waits for frees that have begun on other threads (ALC-10), and gives back the
//   quarantine; blocks that are live are the caller's error, unless the inner allocator releases
//   them (`bulk_release`). Under the address sanitizer they always are: their red zones would
//   remain poisoned, whoever has that memory next.
class PoisonAllocator final : public Allocator {
 public:
  static constexpr unsigned char kNewByte = 0xCD;
  static constexpr unsigned char kFreedByte = 0xDD;
  static constexpr unsigned char kRedZoneByte = 0xFB;

  explicit PoisonAllocator(Allocator& inner, const PoisonOptions& options = {});
  PoisonAllocator(const PoisonAllocator&) = delete;
  PoisonAllocator& operator=(const PoisonAllocator&) = delete;
  ~PoisonAllocator() override;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  // Checks the red zones also where it fails.
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  // Not counting what is in quarantine.
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  // The inner allocator's, and `statistics`; without `tracking`, and under the address sanitizer
  // without `bulk_release`.
  AllocatorTraits traits() const noexcept override;

  // Checks all blocks in quarantine and gives them back to the inner allocator.
  void FlushQuarantine() noexcept { Shorten(0); }

 private:
  struct Header;

  size_t PrefixBytes(size_t alignment) const;
  Layout InnerLayout(Layout layout) const;
  Header* HeaderOf(void* ptr) const;
  uint64_t MagicOf(const Header* header, uint64_t state) const;
  // The header of a live block, after having checked and reported all that can be; null, having
  // reported it, where the block is not live.
  Header* Verify(const char* operation, void* ptr, Layout given) const;
  void CheckRedZones(const char* operation, const Header* header) const;
  void CheckFreed(Header* header) const;
  void Report(PoisonReport report, const Header* header) const;

  Block AllocateInner(Layout layout) noexcept;
  void PrepareBlock(Header* header, size_t old_size) noexcept;
  bool ResizeInPlace(Header* header, size_t new_size) noexcept;
  // False, having reported it, where another thread was faster: the block is freed twice.
  bool Free(Header* header) noexcept ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack(Header* header) noexcept;
  // Gives back the oldest blocks until at most so many bytes are in quarantine. Returns whether
  // there was any.
  bool Shorten(size_t limit) noexcept ABSL_LOCKS_EXCLUDED(mutex_);

  Allocator& inner_;
  const PoisonOptions options_;
  const size_t red_zone_;
  const uint64_t generation_;
  std::atomic<uint64_t> numbers_{0};
  Lock mutex_;
  Header* oldest_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Header* newest_ ABSL_GUARDED_BY(mutex_) = nullptr;
  size_t withheld_ ABSL_GUARDED_BY(mutex_) = 0;
  ThreadCounters counters_;
};

namespace poison {

// "poison": options `red_zone`, `quarantine`, bytes.
const AllocatorFactory& Factory();

}  // namespace poison
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_POISON_POISON_ALLOCATOR_H_
