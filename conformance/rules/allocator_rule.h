// What the body of an allocator rule is given, and the declaration of every such body.
//
// A body is defined under conformance/allocator, as
//
//   namespace tenon::conformance::allocator_rules {
//   void ALC_3(AllocatorRule& rule) {
//     const Owned<Allocator> allocator = rule.Make();
//     ASSERT_NE(allocator, nullptr);
//     ...
//   }
//   }  // namespace tenon::conformance::allocator_rules
//
// A rule of the table without one does not link.

#ifndef TENON_CONFORMANCE_RULES_ALLOCATOR_RULE_H_
#define TENON_CONFORMANCE_RULES_ALLOCATOR_RULE_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/conformance/rules/facet_rule.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/owned.h"

namespace tenon::conformance {

// The rule's allocator as a decorator sees it: thread-safe, without `bulk_release`; resizes by
// moving.
//
// Threads: any.
class InnerAllocator final : public Allocator {
 public:
  explicit InnerAllocator(Allocator& memory) : memory_(memory) {}

  Block Allocate(Layout layout) noexcept override { return memory_.Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { memory_.Deallocate(ptr, layout); }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true};
  }

 private:
  Allocator& memory_;
};

// A run of an allocator rule against the allocators of one factory.
class AllocatorRule : public FacetRule {
 public:
  // Both outlive the rule.
  AllocatorRule(RuleContext& context, const AllocatorFactory& factory);

  // What is tested. The suites see it through the factory and in no other way.
  const AllocatorFactory& factory() const { return factory_; }

  // What its allocators declare. The first call makes one over the process heap to ask it; an
  // allocator that cannot be made is a failure of the rule and declares nothing.
  const AllocatorTraits& traits();
  // The same by the name that the rule table uses: "thread_safe", "foreign_free", "bulk_release",
  // "tracking", "quota". REQUIRES: it is one of them.
  bool Has(std::string_view capability);

  // A new allocator with the options of a deployment that says only what must be said. The object
  // is in allocator(); a decorator decorates allocator() as well. Null, which is a failure of the
  // rule, where it cannot be made.
  Owned<Allocator> Make();
  // The same with another inner allocator for a decorator, which outlives it.
  Owned<Allocator> MakeOver(Allocator& inner);
  // The same over the process heap: without the lock of allocator(), which orders threads and so
  // hides their races.
  Owned<Allocator> MakeOverSystem() { return MakeOver(system_); }

  // What Create gives, which is no failure. The object is in `memory`.
  absl::StatusOr<Owned<Allocator>> TryMake(Allocator& inner, Allocator& memory) const;

 private:
  const AllocatorFactory& factory_;
  const std::vector<AllocatorOptionValue> options_;
  alloc::SystemAllocator system_;
  InnerAllocator inner_;
  std::optional<AllocatorTraits> traits_;
};

using AllocatorRuleBody = void (*)(AllocatorRule& rule);

namespace allocator_rules {

#define TENON_RULE(name, ...) void name(AllocatorRule& rule);
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE

}  // namespace allocator_rules

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_ALLOCATOR_RULE_H_
