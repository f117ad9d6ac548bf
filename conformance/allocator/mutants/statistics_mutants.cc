// Mutants of the rules about what an allocator says of itself, and about many live blocks.

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/rules/allocator_mutant.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::conformance {
namespace {

// Counts where blocks come and go, and not where they change.
class DoesNotCountResizes final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    if (block.ptr != nullptr) live_bytes_ += layout.size;
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) live_bytes_ -= layout.size;
    good().Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override {
    AllocatorStats stats = good().Stats();
    stats.live_bytes = live_bytes_;
    return stats;
  }

 private:
  std::atomic<uint64_t> live_bytes_{0};
};

// Asks for memory with the lock held under which it is counted.
class CountsUnderTheLockOfRequests final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return good().Allocate(layout);
  }
  AllocatorStats Stats() const noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return good().Stats();
  }

 private:
  mutable std::mutex mutex_;
};

// Looks through all blocks for the one that is freed.
class ScansItsTable final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (block.ptr != nullptr) table_.push_back(block.ptr);
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = std::find(table_.begin(), table_.end(), ptr);
      if (found != table_.end()) {
        *found = table_.back();
        table_.pop_back();
      }
    }
    good().Deallocate(ptr, layout);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> table_;
};

// Has a table of a fixed size, and hands out blocks beyond it all the same.
class ForgetsWhenFull final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (block.ptr != nullptr && table_.size() < kPlaces) table_.insert(block.ptr);
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      table_.erase(ptr);
    }
    good().Deallocate(ptr, layout);
  }
  AllocatorTraits traits() const noexcept override {
    AllocatorTraits traits = good().traits();
    traits.tracking = true;
    return traits;
  }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const void* ptr : table_) visit({.ptr = ptr, .stack = {}});
  }

 private:
  static constexpr size_t kPlaces = 1 << 14;

  mutable std::mutex mutex_;
  std::unordered_set<const void*> table_;
};

// Asks for the site when it reports, not when it allocates.
class NamesTheReader final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    good().VisitLive([&](const LiveBlock& block) {
      LiveBlock changed = block;
      changed.site = AllocationSite::Current();
      visit(changed);
    });
  }
};

// Charges first, and does not give back what it then refuses.
class ChargesWhatItRefuses final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const uint64_t used = used_.fetch_add(layout.size) + layout.size;
    return used > traits().quota_bytes ? Block{} : good().Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) used_ -= layout.size;
    good().Deallocate(ptr, layout);
  }

 private:
  std::atomic<uint64_t> used_{0};
};

// Charges the whole of a block that grows beside what was charged for it before.
class ChargesAGrowInFull final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    const uint64_t free_bytes = traits().quota_bytes - good().Stats().live_bytes;
    if (new_size > layout.size && new_size > free_bytes) return {};
    return good().Reallocate(ptr, layout, new_size);
  }
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_12() {
  return {.name = "a resize is not counted",
          .rule = "ALC-12",
          .expected_reason = "live bytes after one was resized",
          .wrap = &Wrap<DoesNotCountResizes>};
}

AllocatorMutant ALC_14() {
  return {.name = "live blocks are found by a linear scan",
          .rule = "ALC-14",
          .expected_reason = "ns more for each live block",
          .wrap = &Wrap<ScansItsTable>};
}

AllocatorMutant ALC_15() {
  return {.name = "blocks beyond the size of the table are not tracked",
          .rule = "ALC-15",
          .expected_reason = "live blocks that are tracked",
          .wrap = &Wrap<ForgetsWhenFull>};
}

AllocatorMutant ALC_16() {
  return {.name = "a block is reported with the site of who asks",
          .rule = "ALC-16",
          .expected_reason = "the site of a live block",
          .wrap = &Wrap<NamesTheReader>};
}

AllocatorMutant ALC_17() {
  return {.name = "refused bytes are charged",
          .rule = "ALC-17",
          .expected_reason = "bytes of a quota are missing",
          .wrap = &Wrap<ChargesWhatItRefuses>};
}

AllocatorMutant SecondOfALC_12() {
  return {.name = "statistics wait for the lock that a request holds",
          .rule = "ALC-12",
          .expected_reason = "statistics could not be read before a request",
          .wrap = &Wrap<CountsUnderTheLockOfRequests>};
}

AllocatorMutant SecondOfALC_17() {
  return {.name = "a grow is charged in full",
          .rule = "ALC-17",
          .expected_reason = "a grow by a quarter of a quota, which was free, was refused",
          .wrap = &Wrap<ChargesAGrowInFull>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
