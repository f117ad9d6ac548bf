// Places at which the loop can be made wrong on purpose, so that the conformance suite is seen to
// fail. They exist only in a build with TENON_LOOP_MUTATIONS; in any other, Mutated() is the
// constant false and the compiler removes the branch.

#ifndef TENON_CORE_LOOP_MUTATION_H_
#define TENON_CORE_LOOP_MUTATION_H_

#include <cstdint>

namespace tenon {

// What to get wrong, with the rule that must notice.
enum class LoopMutation : uint8_t {
  kNone,
  kDropCloseWhenFull,      // HDL-4: a close while operations are queued is lost
  kCloseBeforeComplete,    // HDL-5: the descriptor is closed before its operations completed
  kAcceptSpins,            // HDL-6: no back-off at the descriptor limit
  kInlineCallback,         // SUB-1: a callback runs inside Submit
  kReverseQueue,           // SUB-2: the newest waiting operation goes first
  kDropStale,              // SUB-3: an operation on a stale handle never completes
  kRefuseSecondRead,       // SUB-4: a second read on a handle fails instead of waiting
  kDropResubmitted,        // SUB-5: an operation submitted from its own callback is lost
  kNoThreadCheck,          // SUB-6: use from a foreign thread goes unnoticed
  kDeliverTwice,           // CMP-1: a Recv's callback runs twice
  kRecurse,                // CMP-7: completions nest
  kFinalFlaggedMore,       // CMP-9: a multishot operation's final completion is flagged more
  kCancelTwice,            // CAN-2: cancelling a finished operation changes its result
  kDropQueuedCancel,       // CAN-4: a cancel of a queued operation is lost
  kCancelNeighbours,       // CAN-6: a cancel takes every operation of the handle with it
  kLeakCancelledAccept,    // CAN-5: the descriptor of a late cancel is forgotten
  kTimerEarly,             // TIM-1: fires half a millisecond early
  kZeroTimerLate,          // TIM-3: zero counts as ten milliseconds
  kTimerWraps,             // TIM-4: a far deadline overflows into the past
  kTimerTiesReversed,      // TIM-5: equal deadlines fire newest first
  kDropRearmedTimer,       // TIM-7: a timer armed in its own callback is lost
  kDestroyedDuringWake,    // WAK-2: destruction does not await a wake under way
  kPostedDuringDrainLost,  // WAK-4: Drain returns with tasks unrun
  kDrainForgetsUnbound,    // TD-1: Drain does not cancel operations without a handle
  kDrainReportsSuccess,    // TD-2: what Drain cancels completes with 0
  kDrainSkipsHandles,      // TD-4: Drain leaves descriptors open
  kOwnerDangles,           // TD-5: owners do not learn that their loop is gone
  kDrainGivesUp,           // TD-6: past its deadline it pretends to be drained
  kDrainInCallback,        // TD-7: Drain inside a callback goes ahead
  kCancelFileInHalf,       // FIL-2: a cancelled file write reports -ECANCELED though it wrote
  kTruncateOffset,         // FIL-1: offsets lose their upper half
};

#ifdef TENON_LOOP_MUTATIONS
// Makes the loops of this process wrong in one way. Not thread-safe: call it before they exist.
void SetLoopMutation(LoopMutation mutation);
bool Mutated(LoopMutation mutation);
#else
constexpr bool Mutated(LoopMutation /*mutation*/) { return false; }
#endif

}  // namespace tenon

#endif  // TENON_CORE_LOOP_MUTATION_H_
