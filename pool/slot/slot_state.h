// What may happen to one slot of a pool, as a function without side effects.

#ifndef TENON_POOL_SLOT_SLOT_STATE_H_
#define TENON_POOL_SLOT_SLOT_STATE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tenon::pool {

// Where a slot is. Everything but kEmpty holds a permit, so that the slots which are not empty
// never outnumber the maximum (POOL-10); everything after kCreating holds a resource. Each state
// has one owner, who has to see to it that the slot leaves it (POOL-1); no task is an acquirer's
// (POOL-14).
enum class SlotState : uint8_t {
  kEmpty,       // nobody's
  kReserved,    // the pool's: has its permit; its creation is yet to begin
  kCreating,    // a task's, also while a creation that failed undoes what it had done
  kIdle,        // the idle list's: there to be leased, until its time ends
  kValidating,  // a task's: being asked whether it still works
  kAssigned,    // the waiter's that it was given to, and that has not resumed yet
  kLeased,      // the lease's: in the hands of an application
  kResetting,   // a task's: being made ready for its next holder
  kDestroying,  // a task's; keeps its permit until that is done
};
inline constexpr size_t kSlotStates = 9;

// What a pool does with a slot.
enum class SlotEvent : uint8_t {
  kReserve,    // gives it a permit
  kForgo,      // takes the permit back, as nothing has begun
  kCreate,     // begins to create
  kFail,       // the creation failed, and what it had done is undone
  kPark,       // puts the resource among the idle
  kAssign,     // gives it to a waiter
  kLease,      // the waiter has it, or somebody who need not wait
  kValidate,   // begins to validate
  kReset,      // begins to reset
  kDestroy,    // begins to destroy
  kDestroyed,  // the resource is no more
};
inline constexpr size_t kSlotEvents = 11;

// What a transition adds to the pool's books.
enum class SlotEffect : uint8_t {
  kNone,
  kCreated,         // one resource more
  kCreationFailed,  // none
  kDestroyed,       // one less
};

struct SlotTransition {
  SlotState next = SlotState::kEmpty;
  SlotEffect effect = SlotEffect::kNone;
};

// What an event makes of a slot; null where the event may not happen in that state. Points into a
// constant table.
const SlotTransition* NextSlotState(SlotState state, SlotEvent event);

// Whether there is a resource in it, or what is left of one.
constexpr bool HoldsResource(SlotState state) { return state > SlotState::kCreating; }

absl::string_view SlotStateName(SlotState state);  // "idle", "destroying"
absl::string_view SlotEventName(SlotEvent event);

}  // namespace tenon::pool

#endif  // TENON_POOL_SLOT_SLOT_STATE_H_
