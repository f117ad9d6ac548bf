#include "tenon/core/loop/timer_heap.h"

#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/mutation.h"

namespace tenon {

bool TimerHeap::Before(const Operation& a, const Operation& b) {
  const auto& left = a.parameters().timer;
  const auto& right = b.parameters().timer;
  if (left.when_ns != right.when_ns) return left.when_ns < right.when_ns;
  if (Mutated(LoopMutation::kTimerTiesReversed)) return left.sequence > right.sequence;
  return left.sequence < right.sequence;
}

Operation* TimerHeap::Meld(Operation* a, Operation* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (Before(*b, *a)) std::swap(a, b);
  Node& parent = NodeOf(*a);
  Node& child = NodeOf(*b);
  child.previous = a;
  child.next_sibling = parent.first_child;
  if (parent.first_child != nullptr) NodeOf(*parent.first_child).previous = b;
  parent.first_child = b;
  return a;
}

Operation* TimerHeap::MeldSiblings(Operation* first) {
  // Left to right, meld pairs; the results form a stack linked through next_sibling.
  Operation* stack = nullptr;
  while (first != nullptr) {
    Operation* const a = first;
    Operation* const b = NodeOf(*a).next_sibling;
    first = b == nullptr ? nullptr : NodeOf(*b).next_sibling;
    NodeOf(*a).next_sibling = nullptr;
    if (b != nullptr) NodeOf(*b).next_sibling = nullptr;
    Operation* const pair = Meld(a, b);
    NodeOf(*pair).next_sibling = stack;
    stack = pair;
  }
  // Right to left, meld them into one.
  Operation* root = nullptr;
  while (stack != nullptr) {
    Operation* const next = NodeOf(*stack).next_sibling;
    NodeOf(*stack).next_sibling = nullptr;
    root = Meld(root, stack);
    stack = next;
  }
  if (root != nullptr) NodeOf(*root).previous = nullptr;
  return root;
}

void TimerHeap::Unlink(Operation& timer) {
  Node& node = NodeOf(timer);
  Node& previous = NodeOf(*node.previous);
  (previous.first_child == &timer ? previous.first_child : previous.next_sibling) =
      node.next_sibling;
  if (node.next_sibling != nullptr) NodeOf(*node.next_sibling).previous = node.previous;
}

void TimerHeap::Insert(Operation& timer) {
  NodeOf(timer) = {.first_child = nullptr, .next_sibling = nullptr, .previous = nullptr};
  root_ = Meld(root_, &timer);
}

void TimerHeap::Remove(Operation& timer) {
  Operation* const children = MeldSiblings(NodeOf(timer).first_child);
  if (&timer == root_) {
    root_ = children;
  } else {
    Unlink(timer);
    root_ = Meld(root_, children);
  }
}

Operation* TimerHeap::PopExpired(int64_t now_ns) {
  if (root_ == nullptr || root_->parameters().timer.when_ns > now_ns) return nullptr;
  Operation& timer = *root_;
  Remove(timer);
  return &timer;
}

}  // namespace tenon
