#include "tenon/core/loop/mutation.h"

#ifdef TENON_LOOP_MUTATIONS

namespace tenon {
namespace {

// A global, in test builds only: a process is wrong in one way.
LoopMutation g_mutation = LoopMutation::kNone;

}  // namespace

void SetLoopMutation(LoopMutation mutation) { g_mutation = mutation; }
bool Mutated(LoopMutation mutation) { return g_mutation == mutation; }

}  // namespace tenon

#endif  // TENON_LOOP_MUTATIONS
