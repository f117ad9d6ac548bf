// The mutants of the allocator facet, on one allocator.

#ifndef TENON_TOOLS_CONFORM_ALLOCATOR_MUTANT_SUITE_H_
#define TENON_TOOLS_CONFORM_ALLOCATOR_MUTANT_SUITE_H_

#include <vector>

#include "tenon/conformance/rules/allocator_mutant.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/tools/conform/mutants.h"

namespace tenon::conformance {

// The mutant of each of AllocatorRules(), in the same order.
std::vector<AllocatorMutant> AllocatorMutants();

// `mutants` made of the allocators of `base`, which outlives the result, and allocators that do not
// do the work.
MutantSuite AllocatorMutantSuite(const AllocatorFactory& base,
                                 const std::vector<AllocatorMutant>& mutants);

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_ALLOCATOR_MUTANT_SUITE_H_
