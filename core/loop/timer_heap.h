// Timers ordered by deadline, without memory of their own.

#ifndef TENON_CORE_LOOP_TIMER_HEAP_H_
#define TENON_CORE_LOOP_TIMER_HEAP_H_

#include <cstdint>

#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/time.h"

namespace tenon {

// A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) whose nodes lie in the scratch of the
// timer operations: inserting takes constant time, removing any timer amortised logarithmic time,
// nothing allocates.
//
// Threads: the loop's thread.
class TimerHeap {
 public:
  bool empty() const { return root_ == nullptr; }

  // The earliest deadline, kForeverNs when there is none.
  int64_t next_deadline_ns() const {
    return root_ == nullptr ? kForeverNs : root_->parameters().timer.when_ns;
  }

  // Adds a timer by its deadline in parameters().timer.when_ns and, among equals, its sequence.
  void Insert(Operation& timer);
  // Removes a timer. REQUIRES: it is in this heap.
  void Remove(Operation& timer);
  // Removes and returns the earliest timer, of equals the one with the
  // lowest sequence (TIM-5), if its deadline
  // is not after `now_ns`; else null.
  Operation* PopExpired(int64_t now_ns);

 private:
  struct Node {
    Operation* first_child;
    Operation* next_sibling;
    // The previous sibling, or the parent for a first child; null for the root.
    Operation* previous;
  };
  static Node& NodeOf(Operation& timer) { return timer.Scratch<Node>(); }
  static bool Before(const Operation& a, const Operation& b);
  // Joins two heaps, either of which may be null.
  static Operation* Meld(Operation* a, Operation* b);
  // Joins a list of siblings into one heap, in two passes.
  static Operation* MeldSiblings(Operation* first);
  // Takes a node other than the root out of its list of siblings.
  static void Unlink(Operation& timer);

  Operation* root_ = nullptr;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_TIMER_HEAP_H_
