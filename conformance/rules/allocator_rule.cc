#include "tenon/conformance/rules/allocator_rule.h"

#include <utility>

#include "absl/log/log.h"
#include "gtest/gtest.h"
#include "tenon/conformance/rules/option_values.h"

namespace tenon::conformance {

AllocatorRule::AllocatorRule(RuleContext& context, const AllocatorFactory& factory)
    : FacetRule(context),
      factory_(factory),
      options_(ConformanceOptions(factory)),
      inner_(context.allocator()) {
  // A decorator's memory is that of its inner allocator, which the ledger counts. What a heap keeps
  // is bounded by ALC-7 and ALC-10.
  if (!factory.decorates()) context.KeepsFreedMemory();
}

const AllocatorTraits& AllocatorRule::traits() {
  if (traits_.has_value()) return *traits_;
  const absl::StatusOr<Owned<Allocator>> made = TryMake(system_, system_);
  EXPECT_TRUE(made.ok()) << "no allocator to ask for its traits: " << made.status();
  traits_ = made.ok() ? (*made)->traits() : AllocatorTraits();
  return *traits_;
}

bool AllocatorRule::Has(std::string_view capability) {
  if (capability == "thread_safe") return traits().thread_safe;
  if (capability == "foreign_free") return traits().foreign_free;
  if (capability == "bulk_release") return traits().bulk_release;
  if (capability == "tracking") return traits().tracking;
  if (capability == "quota") return traits().quota_bytes != 0;
  LOG(FATAL) << "no capability is called " << capability;
}

absl::StatusOr<Owned<Allocator>> AllocatorRule::TryMake(Allocator& inner, Allocator& memory) const {
  return factory_.Create(
      {.options = options_, .inner = factory_.decorates() ? &inner : nullptr, .memory = memory});
}

Owned<Allocator> AllocatorRule::Make() { return MakeOver(inner_); }

Owned<Allocator> AllocatorRule::MakeOver(Allocator& inner) {
  absl::StatusOr<Owned<Allocator>> made = TryMake(inner, allocator());
  EXPECT_TRUE(made.ok()) << "the allocator could not be made: " << made.status();
  return made.ok() ? *std::move(made) : nullptr;
}

}  // namespace tenon::conformance
