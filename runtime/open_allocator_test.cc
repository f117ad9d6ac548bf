#include "tenon/runtime/open_allocator.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/arena/arena_allocator.h"
#include "tenon/alloc/concurrent/concurrent_allocator.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/poison/poison_allocator.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/runtime/composed_factory.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// What happened, in the order in which it did.
std::vector<std::string> events;

// Forwards, and says when it is made and destroyed.
class Layer final : public Allocator {
 public:
  Layer(std::string name, Allocator* inner) : name_(std::move(name)), inner_(inner) {
    events.push_back("+" + name_);
  }
  ~Layer() override { events.push_back("-" + name_); }
  Block Allocate(Layout layout) noexcept override { return inner_->Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { inner_->Deallocate(ptr, layout); }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  const std::string name_;
  Allocator* const inner_;
};

class LayerFactory final : public AllocatorFactory {
 public:
  LayerFactory(absl::string_view name, absl::Status probe) : name_(name), probe_(probe) {}
  absl::string_view name() const noexcept override { return name_; }
  absl::string_view summary() const noexcept override { return "for tests"; }
  bool decorates() const noexcept override { return true; }
  absl::Status Probe() const noexcept override { return probe_; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    Owned<Layer> made = MakeOwned<Layer>(config.memory, std::string(name_), config.inner);
    if (made == nullptr) return absl::ResourceExhaustedError("");
    return Owned<Allocator>(std::move(made));
  }

 private:
  const absl::string_view name_;
  const absl::Status probe_;
};

const LayerFactory first("first", absl::OkStatus());
const LayerFactory second("second", absl::OkStatus());
const LayerFactory broken("broken", absl::UnavailableError("not on Tuesdays"));

AllocatorSpec Read(absl::string_view text) {
  const AllocatorFactory* const known[] = {&first, &second, &broken};
  absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse(text, known);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return *std::move(spec);
}

class AllocatorStackTest : public testing::Test {
 protected:
  AllocatorStackTest() { events.clear(); }

  AllocatorStack Make(absl::string_view text) {
    absl::StatusOr<AllocatorStack> stack = AllocatorStack::Make(Read(text), &system_, system_);
    EXPECT_TRUE(stack.ok()) << stack.status();
    return *std::move(stack);
  }

  alloc::SystemAllocator system_;
};

TEST_F(AllocatorStackTest, IsMadeFromTheInsideAndDestroyedFromTheOutside) {
  {
    absl::StatusOr<AllocatorStack> stack =
        AllocatorStack::Make(Read("first(second)"), &system_, system_);
    ASSERT_TRUE(stack.ok()) << stack.status();
    AllocatorStack moved = *std::move(stack);
    EXPECT_FALSE(stack->has_value());
    const Block block = moved->Allocate({.size = 10});
    EXPECT_NE(block.ptr, nullptr);
    moved->Deallocate(block.ptr, {.size = 10});
    EXPECT_THAT(events, ElementsAre("+second", "+first"));
  }
  EXPECT_THAT(events, ElementsAre("+second", "+first", "-first", "-second"));
}

// ALC-18, of the stack itself.
TEST_F(AllocatorStackTest, ResetTwiceDestroysOnce) {
  {
    AllocatorStack stack = Make("first(second)");
    events.clear();
    stack.Reset();
    EXPECT_FALSE(stack.has_value());
    EXPECT_THAT(events, ElementsAre("-first", "-second"));
    stack.Reset();
    EXPECT_FALSE(stack.has_value());
  }
  EXPECT_THAT(events, ElementsAre("-first", "-second"));
  AllocatorStack never;
  never.Reset();
  EXPECT_FALSE(never.has_value());
}

TEST_F(AllocatorStackTest, AfterResetItNeedsItsMemoryNoMore) {
  std::optional<alloc::CountingAllocator> memory(system_);
  absl::StatusOr<AllocatorStack> stack =
      AllocatorStack::Make(Read("first(second)"), &system_, *memory);
  ASSERT_TRUE(stack.ok()) << stack.status();
  EXPECT_GT(memory->Stats().live_blocks, 0u);
  stack->Reset();
  EXPECT_EQ(memory->Stats().live_blocks, 0u);
  memory.reset();
  stack->Reset();
}

TEST_F(AllocatorStackTest, ResetOfOneMovedFromLeavesTheOtherAlone) {
  AllocatorStack stack = Make("first(second)");
  events.clear();
  AllocatorStack moved = std::move(stack);
  stack.Reset();
  EXPECT_FALSE(stack.has_value());
  EXPECT_THAT(events, IsEmpty());
  ASSERT_TRUE(moved.has_value());
  const Block block = moved->Allocate({.size = 10});
  EXPECT_NE(block.ptr, nullptr);
  moved->Deallocate(block.ptr, {.size = 10});
  moved.Reset();
  moved.Reset();
  EXPECT_THAT(events, ElementsAre("-first", "-second"));
}

TEST_F(AllocatorStackTest, AssignmentDestroysWhatWasThere) {
  AllocatorStack there = Make("first(second)");
  AllocatorStack moved = Make("second");
  Allocator* const outermost = &moved.get();
  events.clear();
  there = std::move(moved);
  EXPECT_THAT(events, ElementsAre("-first", "-second"));
  EXPECT_FALSE(moved.has_value());
  ASSERT_TRUE(there.has_value());
  EXPECT_EQ(&there.get(), outermost);
  moved.Reset();
  EXPECT_EQ(events.size(), 2u);
  // And back, over one that is empty.
  moved = std::move(there);
  EXPECT_EQ(events.size(), 2u);
  moved.Reset();
  there.Reset();
  EXPECT_THAT(events, ElementsAre("-first", "-second", "-second"));
}

TEST_F(AllocatorStackTest, AssignmentToItselfChangesNothing) {
  AllocatorStack stack = Make("first(second)");
  events.clear();
  AllocatorStack& same = stack;
  stack = std::move(same);
  EXPECT_THAT(events, IsEmpty());
  EXPECT_TRUE(stack.has_value());
}

TEST_F(AllocatorStackTest, ARefusalNamesTheLayerAndTakesTheOthersBack) {
  const auto stack = AllocatorStack::Make(Read("first(broken(second))"), &system_, system_);
  ASSERT_FALSE(stack.ok());
  EXPECT_EQ(stack.status(), absl::UnavailableError("allocator spec: broken: not on Tuesdays\n"
                                                   "  first(broken(second))\n"
                                                   "        ^"));
  EXPECT_THAT(events, ElementsAre("+second", "-second"));
}

TEST_F(AllocatorStackTest, WantOfMemoryAtAnyLayerTakesTheOthersBack) {
  alloc::CountingAllocator counting(system_);
  alloc::FaultAllocator fault(counting);
  // The stack's own, and one for each layer.
  for (const uint64_t nth : {1, 2, 3}) {
    events.clear();
    fault.FailNth(nth);
    const auto stack = AllocatorStack::Make(Read("first(second)"), &system_, fault);
    ASSERT_FALSE(stack.ok()) << nth;
    EXPECT_EQ(stack.status(), absl::ResourceExhaustedError(""));
    const uint64_t made = nth == 3 ? 1 : 0;
    EXPECT_EQ(events.size(), 2 * made) << "made and destroyed";
    EXPECT_EQ(counting.Stats().live_blocks, 0u);
  }
  fault.FailNth(4);
  EXPECT_TRUE(AllocatorStack::Make(Read("first(second)"), &system_, fault).ok());
  EXPECT_EQ(counting.Stats().live_blocks, 0u);
}

// A spec that is well written, the layer that does not want it, and what that one says.
struct Refusal {
  absl::string_view text;
  size_t position;
  absl::string_view message;
};

class RefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, IsPointedAt) {
  const Refusal& refusal = GetParam();
  const AllocatorFactory* const known[] = {&alloc::arena::Factory(), &alloc::concurrent::Factory(),
                                           &alloc::fault::Factory(), &alloc::poison::Factory(),
                                           &alloc::quota::Factory(), &alloc::system::Factory()};
  const absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse(refusal.text, known);
  ASSERT_TRUE(spec.ok()) << spec.status();
  alloc::SystemAllocator system;
  const absl::Status status = AllocatorStack::Make(*spec, &system, system).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_THAT(message, StartsWith(absl::StrCat("allocator spec: ", refusal.message)));
  EXPECT_THAT(message, EndsWith(absl::StrCat("\n  ", refusal.text, "\n  ",
                                             std::string(refusal.position, ' '), "^")));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, RefusalTest,
    testing::Values(
        Refusal{"quota(0)", 0, "quota: bytes is 0"}, Refusal{" quota(0)", 1, "quota: bytes is 0"},
        Refusal{"arena(chunk=10)", 0, "arena: chunk is less"},
        Refusal{"poison(red_zone=2MiB)", 0, "poison: red_zone is more"},
        Refusal{"fault(min_size=2,max_size=1)", 0, "fault: min_size is more than max_size"},
        Refusal{"concurrent(arena)", 0, "concurrent: the blocks of its inner allocator"},
        Refusal{"poison(quota(1MiB, concurrent(arena)))", 19, "concurrent: the blocks"},
        Refusal{"quota(1MiB, quota( 0 ))", 12, "quota: bytes is 0"}));

TEST(OpenAllocatorTest, MakesEveryLinkedAllocatorThatNeedsNoOptions) {
  ASSERT_FALSE(LinkedAllocators().empty());
  for (const AllocatorFactory* factory : LinkedAllocators()) {
    const std::string name(factory->name());
    bool needs_options = false;
    for (const AllocatorOption& option : factory->options()) {
      needs_options |= option.default_value.empty();
    }
    if (needs_options || !factory->Probe().ok()) continue;
    absl::StatusOr<AllocatorStack> stack = OpenAllocator(name);
    ASSERT_TRUE(stack.ok()) << stack.status();
    const Block block = (*stack)->Allocate({.size = 100});
    EXPECT_NE(block.ptr, nullptr) << name;
    (*stack)->Deallocate(block.ptr, {.size = 100});
  }
}

TEST(OpenAllocatorTest, AMistakeIsPointedAt) {
  const absl::StatusOr<AllocatorStack> stack = OpenAllocator("sistem");
  ASSERT_FALSE(stack.ok());
  EXPECT_EQ(stack.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(stack.status().message()), HasSubstr("\n  sistem\n  ^"));
}

TEST(ComposedFactoryTest, WantOfMemoryAnywhereLeavesNothingBehind) {
  alloc::SystemAllocator system;
  alloc::CountingAllocator counting(system);
  alloc::FaultAllocator fault(counting);
  const ComposedFactory factory("first(second)", Read("first(second)"));
  uint64_t nth = 0;
  absl::Status status;
  do {
    events.clear();
    fault.FailNth(++nth);
    status = factory.Create({.inner = &system, .memory = fault}).status();
    EXPECT_EQ(counting.Stats().live_blocks, 0u) << nth;
    EXPECT_EQ(events.size() % 2, 0u) << "made and destroyed";
    if (!status.ok()) {
      EXPECT_EQ(status, absl::ResourceExhaustedError(""));
    }
  } while (!status.ok());
  EXPECT_EQ(nth, 5u) << "the stack's own, two layers, and the one that keeps them";
}

TEST(ComposedFactoryTest, IsOneAllocatorNamedAsTheSpec) {
  events.clear();
  alloc::SystemAllocator system;
  const ComposedFactory factory("first(second)", Read("first(second)"));
  EXPECT_EQ(factory.name(), "first(second)");
  EXPECT_TRUE(factory.decorates());
  EXPECT_TRUE(factory.Probe().ok());
  {
    absl::StatusOr<Owned<Allocator>> made = factory.Create({.inner = &system, .memory = system});
    ASSERT_TRUE(made.ok()) << made.status();
    const Block block = (*made)->Allocate({.size = 10});
    EXPECT_NE(block.ptr, nullptr);
    (*made)->Deallocate(block.ptr, {.size = 10});
  }
  EXPECT_THAT(events, ElementsAre("+second", "+first", "-first", "-second"));
  EXPECT_EQ(ComposedFactory("broken", Read("first(broken)")).Probe(),
            absl::UnavailableError("allocator spec: broken: not on Tuesdays\n"
                                   "  first(broken)\n"
                                   "        ^"));
}

}  // namespace
}  // namespace tenon::runtime
