// What a mutant of an allocator rule is, and the declaration of every one.
//
// A mutant is a good allocator made wrong in exactly one way: its rule must fail on it, for the
// expected reason, or the rule proves nothing. One is defined for each rule under
// conformance/allocator/mutants, as
//
//   namespace tenon::conformance::allocator_mutants {
//   AllocatorMutant ALC_13() {
//     return {.name = "a free changes errno", .rule = "ALC-13",
//             .expected_reason = "changed errno", .wrap = &Wrap<ChangesErrno>};
//   }
//   }  // namespace tenon::conformance::allocator_mutants
//
// A rule of the table without one does not link.

#ifndef TENON_CONFORMANCE_RULES_ALLOCATOR_MUTANT_H_
#define TENON_CONFORMANCE_RULES_ALLOCATOR_MUTANT_H_

#include <string_view>

#include "tenon/core/memory/allocator_factory.h"

namespace tenon::conformance {

// How to make a good allocator wrong.
struct AllocatorMutant {
  // What it does wrong, in a few words.
  std::string_view name;
  // The rule that must fail on it.
  std::string_view rule;
  // A part of the failure's detail: of an EXPECT's message, or of a verdict's name ("SIGABRT",
  // "hang after"). A mutant that fails its rule for another reason counts as alive.
  std::string_view expected_reason;
  // A factory whose allocators are those of `good`, but for the mistake. The result lives until the
  // process ends; so does `good`. Called at most once in a process, which runs one rule.
  const AllocatorFactory* (*wrap)(const AllocatorFactory& good) = nullptr;
};

namespace allocator_mutants {

#define TENON_RULE(name, ...) AllocatorMutant name();
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE

// Wrong in another way than the first, and chosen so that a rule which was tuned to that would miss
// it.
AllocatorMutant SecondOfALC_10();
AllocatorMutant SecondOfALC_11();
AllocatorMutant SecondOfALC_12();
AllocatorMutant SecondOfALC_17();

}  // namespace allocator_mutants

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_ALLOCATOR_MUTANT_H_
