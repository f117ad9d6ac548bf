// The pitfalls of rings, as backends that fall into them: the suite has to fail each.

#ifndef TENON_TOOLS_CONFORM_RING_MUTANTS_H_
#define TENON_TOOLS_CONFORM_RING_MUTANTS_H_

#include "absl/types/span.h"
#include "tenon/conformance/rules/loop_mutant.h"

namespace tenon::conformance {

// Each makes io_uring backends of its own, whatever factory it is given.
absl::Span<const LoopMutant> RingMutants();

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_RING_MUTANTS_H_
