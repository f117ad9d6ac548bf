// The mutants of the loop facet, on one backend.

#ifndef TENON_TOOLS_CONFORM_LOOP_MUTANT_SUITE_H_
#define TENON_TOOLS_CONFORM_LOOP_MUTANT_SUITE_H_

#include <vector>

#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/tools/conform/mutants.h"

namespace tenon::conformance {

// The mutant of each of LoopRules(), in the same order.
std::vector<LoopMutant> LoopMutants();

// `mutants` made of the backends of `base`, which outlives the result, and the cheaters.
MutantSuite LoopMutantSuite(const LoopBackendFactory& base, const std::vector<LoopMutant>& mutants);

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_LOOP_MUTANT_SUITE_H_
