// Mutants of the rules about the end of an allocator, and what comes after it.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/rules/allocator_mutant.h"

namespace tenon::conformance {
namespace {

// Notes what other threads free, for its owner to collect, and forgets the notes at the end.
class KeepsNotesOfForeignFrees final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (std::this_thread::get_id() != owner_) memory().Allocate({.size = sizeof(void*)});
    good().Deallocate(ptr, layout);
  }

 private:
  const std::thread::id owner_ = std::this_thread::get_id();
};

// Destruction does not wait for a free on another thread, but leaves to it what there is to do.
class LeavesTheRestToTheFree final : public Allocator {
 public:
  LeavesTheRestToTheFree(Owned<Allocator> good, Allocator& /*memory*/)
      : state_(std::make_shared<State>()) {
    state_->good = std::move(good);
  }
  ~LeavesTheRestToTheFree() override {
    state_->ended = true;
    if (state_->frees == 0) state_->good.reset();
  }

  Block Allocate(Layout layout) noexcept override { return state_->good->Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    const std::shared_ptr<State> state = state_;
    ++state->frees;
    state->good->Deallocate(ptr, layout);
    if (--state->frees == 0 && state->ended) state->good.reset();
  }
  AllocatorStats Stats() const noexcept override { return state_->good->Stats(); }
  AllocatorTraits traits() const noexcept override { return state_->good->traits(); }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    state_->good->VisitLive(visit);
  }

 private:
  struct State {
    Owned<Allocator> good;
    std::atomic<int> frees = 0;
    std::atomic<bool> ended = false;
  };

  const std::shared_ptr<State> state_;
};

// New allocators go on counting where the one stopped that had their address.
class CountsByAddress final : public AllocatorDecorator {
 public:
  using AllocatorDecorator::AllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    if (block.ptr != nullptr) Count(1);
    return block;
  }
  AllocatorStats Stats() const noexcept override {
    AllocatorStats stats = good().Stats();
    stats.total_blocks = Count(0);
    return stats;
  }

 private:
  uint64_t Count(uint64_t blocks) const {
    static std::mutex mutex;
    static auto* const counts = new std::map<const void*, uint64_t>();
    const std::lock_guard<std::mutex> lock(mutex);
    return (*counts)[this] += blocks;
  }
};

struct CachedBlock {
  const void* owner = nullptr;
  void* ptr = nullptr;
};

// Each thread keeps one block, for the allocator whose address is that of the one it came from.
class CachesByAddress final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    if (!IsCached(layout) || cache_.owner != this) return good().Allocate(layout);
    cache_.owner = nullptr;
    return {cache_.ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (!IsCached(layout) || cache_.owner == this) return good().Deallocate(ptr, layout);
    cache_ = {this, ptr};
  }

 private:
  static bool IsCached(Layout layout) { return layout.size == 64 && layout.alignment <= 16; }

  inline static thread_local CachedBlock cache_;
};

// Takes a lock for all allocators when it ends, and returns early after a failure.
class KeepsTheLockOfTheRegistry final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;
  ~KeepsTheLockOfTheRegistry() override {
    registry_.lock();
    if (failed_) return;
    registry_.unlock();
  }

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(layout);
    if (block.ptr == nullptr) failed_ = true;
    return block;
  }

 private:
  inline static std::mutex registry_;
  bool failed_ = false;
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_10() {
  return {.name = "what other threads freed is not released with the allocator",
          .rule = "ALC-10",
          .expected_reason = "bytes of its inner allocator remain after it was destroyed",
          .wrap = &Wrap<KeepsNotesOfForeignFrees>};
}

AllocatorMutant ALC_11() {
  return {.name = "a thread's cache is found by the address of the allocator",
          .rule = "ALC-11",
          .expected_reason = "made where another was, handed out memory of that",
          .wrap = &Wrap<CachesByAddress>};
}

AllocatorMutant ALC_18() {
  return {.name = "teardown after a failure keeps the lock of the registry",
          .rule = "ALC-18",
          .expected_reason = "teardown after failures, again and again never ended",
          .wrap = &Wrap<KeepsTheLockOfTheRegistry>};
}

AllocatorMutant SecondOfALC_10() {
  return {.name = "destruction leaves the rest to a free that is under way",
          .rule = "ALC-10",
          .expected_reason = "was destroyed with a free of a block of",
          .wrap = &Wrap<LeavesTheRestToTheFree>};
}

AllocatorMutant SecondOfALC_11() {
  return {.name = "an allocator counts on where the one of its address stopped",
          .rule = "ALC-11",
          .expected_reason = "a new allocator counts blocks of one that is gone",
          .wrap = &Wrap<CountsByAddress>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
