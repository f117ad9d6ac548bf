// One place for a resource in a pool. Of interest to implementations of pools only.

#ifndef TENON_POOL_SLOT_H_
#define TENON_POOL_SLOT_H_

#include <cstdint>
#include <optional>
#include <source_location>

#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/task.h"
#include "tenon/pool/policy.h"
#include "tenon/pool/slot/slot_state.h"

namespace tenon::pool {

class AcquireNode;
class PoolCore;
class Stages;

// Owned by the pool, at one address for as long as the pool lives. Its link is in the list of
// whoever owns its next edge, where that is the pool (SlotState).
//
// Threads: as the pool's; `broken` is written by the holder of the lease, and read when that ends.
struct Slot : public ListLink<Slot> {
  Slot(PoolCore& pool_core, Loop& loop, Allocator& allocator, void* memory)
      : core(pool_core), resource(memory), scope(loop, allocator) {}

  PoolCore& core;
  void* const resource;

  SlotState state = SlotState::kEmpty;
  // Not to be leased again (POOL-11).
  bool broken = false;
  // Is being validated because it was idle for long, so that it has not moved up when it is back.
  bool was_idle = false;
  // Somebody who waits counts on what is being done to it (Roster::Expect).
  bool expected = false;
  // The pool's when the creation began; an older one is not to be leased again (POOL-11).
  uint64_t generation = 0;
  int64_t expires_at_ns = kForeverNs;
  int64_t idle_since_ns = 0;
  int64_t checked_at_ns = 0;
  // Of the current lease, or the last.
  int64_t leased_at_ns = 0;
  std::source_location site = {};

  CreateScope scope;
  // Whose it is while it is kAssigned.
  AcquireNode* waiter = nullptr;
  // What runs the task that is under way, if one is.
  Stages* stages = nullptr;
  // Made before the resource is, so that it can be destroyed for certain.
  std::optional<Task<>> destroy;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_SLOT_H_
