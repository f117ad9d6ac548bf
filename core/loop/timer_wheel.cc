#include "tenon/core/loop/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/time.h"

namespace tenon {

TimerWheel::TimerWheel() {
  for (Level& level : levels_) {
    for (Link& list : level) list = {.next = &list, .previous = &list};
  }
}

int TimerWheel::LevelOf(uint64_t a, uint64_t b) {
  return a == b ? 0 : (std::bit_width(a ^ b) - 1) / kDigitBits;
}

void TimerWheel::Append(Link& list, Link& link) {
  link.next = &list;
  link.previous = list.previous;
  list.previous->next = &link;
  list.previous = &link;
}

void TimerWheel::MoveAll(Link& from, Link& to) {
  if (from.next == &from) return;
  from.next->previous = to.previous;
  to.previous->next = from.next;
  from.previous->next = &to;
  to.previous = from.previous;
  from = {.next = &from, .previous = &from};
}

void TimerWheel::PutInWheel(Operation& timer) {
  const uint64_t tick = TickOf(timer);
  const int level = LevelOf(tick, threshold_);
  const size_t digit = DigitOf(tick, level);
  timer.parameters().timer.in_wheel = true;
  Node& node = timer.Scratch<Node>();
  node.timer = &timer;
  Append(levels_[level][digit], node);
  occupied_[level] |= uint64_t{1} << digit;
}

void TimerWheel::PutInHeap(Operation& timer) {
  timer.parameters().timer.in_wheel = false;
  heap_.Insert(timer);
}

size_t TimerWheel::FirstOf(int level) {
  while (occupied_[level] != 0) {
    const auto digit = static_cast<size_t>(std::countr_zero(occupied_[level]));
    const Link& list = levels_[level][digit];
    if (list.next != &list) return digit;
    // Its timers have been removed.
    occupied_[level] &= occupied_[level] - 1;
  }
  return kLists;
}

void TimerWheel::Spread(int level, size_t digit) {
  Link& list = levels_[level][digit];
  occupied_[level] &= ~(uint64_t{1} << digit);
  while (list.next != &list) {
    Node& node = *static_cast<Node*>(list.next);
    list.next = node.next;
    node.next->previous = &list;
    PutInWheel(*node.timer);
  }
}

// Nothing in the wheel is before the new threshold. Whatever shares a digit with it now, of those
// levels where the digit has changed, belongs on a lower level.
void TimerWheel::MoveTo(uint64_t threshold) {
  const int highest = LevelOf(threshold, threshold_);
  threshold_ = threshold;
  for (int level = highest; level > 0; --level) {
    const size_t digit = DigitOf(threshold, level);
    if ((occupied_[level] >> digit & 1) != 0) Spread(level, digit);
  }
}

void TimerWheel::Advance() {
  stepped_over_ = 0;
  int level = 0;
  while (true) {
    const size_t digit = FirstOf(level);
    if (digit == kLists) {
      ++level;
      continue;
    }
    const int shift = level * kDigitBits;
    const uint64_t above = threshold_ >> shift >> kDigitBits << kDigitBits << shift;
    const uint64_t first = above | static_cast<uint64_t>(digit) << shift;
    if (level > 0) {
      MoveTo(first);
      level = 0;
      continue;
    }
    Link& list = levels_[0][digit];
    occupied_[0] &= ~(uint64_t{1} << digit);
    for (Link* link = list.next; link != &list;) {
      // The heap's node takes the place of the link.
      Operation& timer = *static_cast<Node*>(link)->timer;
      link = link->next;
      PutInHeap(timer);
      ++stepped_over_;
    }
    list = {.next = &list, .previous = &list};
    in_wheel_ -= stepped_over_;
    MoveTo(first + 1);
    return;
  }
}

void TimerWheel::Rewind() {
  const uint64_t threshold = static_cast<uint64_t>(heap_.next_deadline_ns()) >> kTickBits;
  // What lies below the highest digit that changes differs from the new threshold in that digit.
  const int highest = LevelOf(threshold, threshold_);
  const size_t digit = DigitOf(threshold_, highest);
  for (int level = 0; level < highest; ++level) {
    for (size_t from = FirstOf(level); from != kLists; from = FirstOf(level)) {
      MoveAll(levels_[level][from], levels_[highest][digit]);
      occupied_[highest] |= uint64_t{1} << digit;
    }
  }
  threshold_ = threshold;
  while (Operation* timer = heap_.PopExpired(kForeverNs)) {
    PutInWheel(*timer);
    ++in_wheel_;
  }
  stepped_over_ = 0;
  inserted_before_ = 0;
}

void TimerWheel::Insert(Operation& timer) {
  if (empty()) {
    threshold_ = 0;
    stepped_over_ = 0;
    inserted_before_ = 0;
  }
  timer.parameters().timer.sequence = next_sequence_++;
  if (TickOf(timer) >= threshold_) {
    PutInWheel(timer);
    ++in_wheel_;
    return;
  }
  PutInHeap(timer);
  ++inserted_before_;
  if (inserted_before_ <= std::max(kFew, in_wheel_ + stepped_over_)) return;
  // All in one tick are better off in the heap.
  const uint64_t first = static_cast<uint64_t>(heap_.next_deadline_ns()) >> kTickBits;
  if (first + 1 < threshold_) Rewind();
}

void TimerWheel::Remove(Operation& timer) {
  if (!timer.parameters().timer.in_wheel) return heap_.Remove(timer);
  const Node& node = timer.Scratch<Node>();
  node.previous->next = node.next;
  node.next->previous = node.previous;
  --in_wheel_;
}

int64_t TimerWheel::next_deadline_ns() {
  if (heap_.empty() && in_wheel_ != 0) Advance();
  return heap_.next_deadline_ns();
}

Operation* TimerWheel::PopExpired(int64_t now_ns) {
  return next_deadline_ns() > now_ns ? nullptr : heap_.PopExpired(now_ns);
}

}  // namespace tenon
