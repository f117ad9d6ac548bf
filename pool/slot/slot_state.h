// What may happen to one slot of a pool, as a function without side effects.

#ifndef TENON_POOL_SLOT_SLOT_STATE_H_
#define TENON_POOL_SLOT_SLOT_STATE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tenon::pool {

// Where a slot is. Everything but kEmpty holds a permit, so that the slots which are not empty
// never outnumber the maximum (POOL-10); everything after kCreating holds a resource.
enum class SlotState : uint8_t {
  kEmpty,
  kReserved,    // has its permit; its creation is yet to begin
  kCreating,    // also while a creation that failed undoes what it had done
  kIdle,        // there to be leased
  kValidating,  // being asked whether it still works
  kAssigned,    // given to a waiter that has not resumed yet
  kLeased,      // in the hands of an application
  kResetting,   // being made ready for its next holder
  kDestroying,  // keeps its permit until that is done
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

// Who has to see to it that a slot leaves its state. There is always exactly one: that is why
// nothing is ever orphaned (POOL-1).
enum class SlotOwner : uint8_t {
  kNobody,    // empty
  kPool,      // the queue of what the pool is about to begin
  kTask,      // a task of the pool, never of an acquirer (POOL-14)
  kIdleList,  // the next to acquire, or the end of its time
  kWaiter,    // the acquirer that was given it, when it resumes
  kHolder,    // the lease, when it ends
};

// What a transition adds to the pool's books.
enum class SlotEffect : uint8_t {
  kNone,
  kCreated,         // one resource more
  kCreationFailed,  // none
  kDestroyed,       // one less
};

struct SlotTransition {
  SlotState next = SlotState::kEmpty;
  SlotOwner owner = SlotOwner::kNobody;
  SlotEffect effect = SlotEffect::kNone;
};

// What an event makes of a slot; null where the event may not happen in that state. Points into a
// constant table.
const SlotTransition* NextSlotState(SlotState state, SlotEvent event);

// Who owns the way out of a state.
SlotOwner OwnerOf(SlotState state);

// Whether there is a resource in it, or what is left of one.
constexpr bool HoldsResource(SlotState state) { return state > SlotState::kCreating; }

absl::string_view SlotStateName(SlotState state);  // "idle", "destroying"
absl::string_view SlotEventName(SlotEvent event);

}  // namespace tenon::pool

#endif  // TENON_POOL_SLOT_SLOT_STATE_H_
