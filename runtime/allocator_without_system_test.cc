// What becomes of a spec that leaves open what is decorated, in a binary that links no `system`.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/runtime/allocator_spec.h"
#include "tenon/runtime/open_allocator.h"

namespace tenon::runtime {
namespace {

// One that is called `system`, and cannot be made without being told more.
class OtherSystemFactory final : public AllocatorFactory {
 public:
  explicit OtherSystemFactory(bool decorates) : decorates_(decorates) {}
  absl::string_view name() const noexcept override { return "system"; }
  absl::string_view summary() const noexcept override { return "for tests"; }
  absl::Span<const AllocatorOption> options() const noexcept override {
    return decorates_ ? absl::Span<const AllocatorOption>() : kOptions;
  }
  bool decorates() const noexcept override { return decorates_; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig&) const noexcept override {
    ADD_FAILURE() << "it has not been given what it needs";
    return absl::InternalError("");
  }

 private:
  static constexpr AllocatorOption kOptions[] = {{.name = "heap", .summary = "which"}};
  const bool decorates_;
};

const OtherSystemFactory with_options(false);
const OtherSystemFactory decorating(true);
std::vector<const AllocatorFactory*> linked;

TEST(WithoutSystemTest, AnOpenSpecIsRefusedAndPointedAt) {
  const AllocatorFactory* const quota = &alloc::quota::Factory();
  const auto spec = AllocatorSpec::Parse("quota(1MiB, quota(1KiB))", {quota});
  ASSERT_TRUE(spec.ok()) << spec.status();
  alloc::SystemAllocator system;
  alloc::CountingAllocator memory(system);
  const std::vector<const AllocatorFactory*> sets[] = {
      {}, {quota}, {&with_options}, {&decorating, quota}};
  for (const auto& set : sets) {
    linked = set;
    EXPECT_EQ(AllocatorStack::Make(*spec, nullptr, memory).status(),
              absl::NotFoundError("allocator spec: quota: it decorates system, which is not "
                                  "linked\n"
                                  "  quota(1MiB, quota(1KiB))\n"
                                  "              ^"));
    EXPECT_EQ(memory.Stats().live_blocks, 0u);
    EXPECT_TRUE(AllocatorStack::Make(*spec, &system, memory).ok());
  }
  linked = {&with_options, &alloc::system::Factory()};
  EXPECT_TRUE(AllocatorStack::Make(*spec, nullptr, memory).ok());
}

}  // namespace

// The set of this binary.
absl::Span<const AllocatorFactory* const> LinkedAllocators() { return linked; }

}  // namespace tenon::runtime
