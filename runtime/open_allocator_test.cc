#include "tenon/runtime/open_allocator.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/runtime/composed_factory.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST_F(AllocatorStackTest, AssignmentDestroysWhatWasThere) {
  absl::StatusOr<AllocatorStack> a = AllocatorStack::Make(Read("first"), &system_, system_);
  absl::StatusOr<AllocatorStack> b = AllocatorStack::Make(Read("second"), &system_, system_);
  ASSERT_TRUE(a.ok() && b.ok());
  *a = *std::move(b);
  EXPECT_THAT(events, ElementsAre("+first", "+second", "-first"));
}

TEST_F(AllocatorStackTest, ARefusalNamesTheLayerAndTakesTheOthersBack) {
  const auto stack = AllocatorStack::Make(Read("first(broken(second))"), &system_, system_);
  ASSERT_FALSE(stack.ok());
  EXPECT_EQ(stack.status(), absl::UnavailableError("broken: not on Tuesdays"));
  EXPECT_THAT(events, ElementsAre("+second", "-second"));
}

TEST_F(AllocatorStackTest, WantOfMemoryAtAnyLayerTakesTheOthersBack) {
  alloc::FaultAllocator fault(system_);
  for (const uint64_t nth : {1, 2}) {
    events.clear();
    fault.FailNth(nth);
    const auto stack = AllocatorStack::Make(Read("first(second)"), &system_, fault);
    ASSERT_FALSE(stack.ok());
    EXPECT_EQ(stack.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(events.size(), 2 * (nth - 1)) << "made and destroyed";
  }
}

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
  EXPECT_FALSE(ComposedFactory("broken", Read("first(broken)")).Probe().ok());
}

}  // namespace
}  // namespace tenon::runtime
