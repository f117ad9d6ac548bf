// Looking at a loop from outside: counters, and calls at its joints.

#ifndef TENON_CORE_LOOP_LOOP_OBSERVER_H_
#define TENON_CORE_LOOP_LOOP_OBSERVER_H_

#include <array>
#include <cstdint>

#include "tenon/core/loop/opcode.h"
#include "tenon/core/loop/operation.h"

namespace tenon {

// Counters of a loop since its creation. Kept without atomics: read them on the loop's thread.
struct LoopStats {
  uint64_t turns = 0;
  uint64_t wakes = 0;         // times another thread found the loop asleep
  uint64_t posted_tasks = 0;  // run so far
  int64_t waiting_ns = 0;     // time inside LoopBackend::Wait
  int64_t running_ns = 0;     // time from one Wait to the next
  uint64_t pending = 0;       // operations submitted and not finally completed, now
  uint64_t queued = 0;        // of those, ready for the backend, which was full
  uint64_t open_handles = 0;  // descriptors adopted and not closed, now
  uint64_t buffers_lent = 0;  // buffers of the pool in callbacks' hands, now
  std::array<uint64_t, kOpcodeCount> submitted = {};  // by opcode
  std::array<uint64_t, kOpcodeCount> completed = {};  // finally, by opcode
};

// Called by a loop as it works; absent, it costs one test of a pointer.
//
// Ownership: the caller's; outlives the loop or is replaced by null first.
// Threads: the loop's thread.
// Reentrancy: a method may not call the loop.
class LoopObserver {
 public:
  // A turn begins.
  virtual void OnTurn() {}
  // An operation was submitted.
  virtual void OnSubmit(const Operation& /*operation*/) {}
  // A completion is about to be delivered; result() and has_more() are set.
  virtual void OnComplete(const Operation& /*operation*/) {}

 protected:
  ~LoopObserver() = default;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_LOOP_OBSERVER_H_
