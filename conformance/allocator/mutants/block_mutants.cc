// Mutants of the rules about what a block is.

#include "tenon/conformance/allocator/mutants/decorator.h"
#include "tenon/conformance/rules/allocator_mutant.h"

namespace tenon::conformance {
namespace {

// Thinks that a small block is aligned to its size at most.
class MisalignsSmallBlocks final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    if (!IsSmall(layout)) return good().Allocate(layout);
    const Block block = good().Allocate(Larger(layout));
    if (block.ptr == nullptr) return block;
    return {static_cast<char*>(block.ptr) + layout.alignment / 2, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr == nullptr || !IsSmall(layout)) return good().Deallocate(ptr, layout);
    good().Deallocate(static_cast<char*>(ptr) - layout.alignment / 2, Larger(layout));
  }

 private:
  static bool IsSmall(Layout layout) {
    return layout.size < layout.alignment && layout.alignment > 16;
  }
  static Layout Larger(Layout layout) {
    return {.size = layout.size + layout.alignment, .alignment = layout.alignment};
  }
};

// Adds room for a header without a look at the sum.
class WrapsAround final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    const Block block = good().Allocate(WithHeader(layout));
    return block.ptr == nullptr ? block : Block{block.ptr, layout.size};
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    good().Deallocate(ptr, WithHeader(layout));
  }

 private:
  static Layout WithHeader(Layout layout) {
    return {.size = layout.size + 16, .alignment = layout.alignment};
  }
};

// Has one place for all that need none.
class SharesOnePlace final : public MovingAllocatorDecorator {
 public:
  using MovingAllocatorDecorator::MovingAllocatorDecorator;

  Block Allocate(Layout layout) noexcept override {
    return layout.size == 0 ? Block{place_, 0} : good().Allocate(layout);
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (layout.size != 0) good().Deallocate(ptr, layout);
  }

 private:
  alignas(4096) char place_[16] = {};
};

}  // namespace

namespace allocator_mutants {

AllocatorMutant ALC_1() {
  return {.name = "a block that is smaller than its alignment is not aligned",
          .rule = "ALC-1",
          .expected_reason = "a block of 0 bytes aligned to 32 stands at",
          .wrap = &Wrap<MisalignsSmallBlocks>};
}

AllocatorMutant ALC_2() {
  return {.name = "size plus header wraps around",
          .rule = "ALC-2",
          .expected_reason = "were allocated, which nobody has",
          .wrap = &Wrap<WrapsAround>};
}

AllocatorMutant ALC_3() {
  return {.name = "all blocks of no bytes share one address",
          .rule = "ALC-3",
          .expected_reason = "two live blocks have one address",
          .wrap = &Wrap<SharesOnePlace>};
}

}  // namespace allocator_mutants
}  // namespace tenon::conformance
