// The pending timers of a loop, however many: a wheel for those that are far away, a heap for those
// that are next.

#ifndef TENON_CORE_LOOP_TIMER_WHEEL_H_
#define TENON_CORE_LOOP_TIMER_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/timer_heap.h"

namespace tenon {

// Timers in the order of their deadlines, of equals the first inserted first (TIM-5). Most timers
// are cancelled, or put off, long before they are due: such a timer is never put in order, it only
// lies in a list. Nothing allocates; the lists run through the scratch of the timer operations.
//
// Time is cut into ticks of 65,536 ns. Timers before a threshold, which is a tick, are in a heap;
// all others are in a hierarchical wheel (Varghese, Lauck 1987) of eight levels of 64 lists. A tick
// is written in digits of six bits; a timer is on the level of the highest digit in which its tick
// differs from the threshold, in the list of its own digit. Hence what is on a lower level is
// earlier, and on one level what has the lower digit.
//
// The threshold does not follow the clock: it moves on when the heap has run empty, to behind the
// first tick that has timers, whose list then goes to the heap. So the next deadline is always
// exact. Should timers gather before a threshold that is far ahead, it moves back.
//
// Inserting takes constant time, removing too unless the timer is next; each timer that falls due
// moves down at most eight levels and through a heap of those of its tick. Moving the threshold
// back never costs more than the insertions that gave rise to it.
//
// Threads: the loop's thread.
class TimerWheel {
 public:
  TimerWheel();
  // Lists point into it.
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  bool empty() const { return heap_.empty() && in_wheel_ == 0; }

  // The earliest deadline, kForeverNs when there is none.
  int64_t next_deadline_ns();

  // Adds a timer by its deadline in parameters().timer.when_ns, which is at least 0.
  void Insert(Operation& timer);
  // Removes a timer. REQUIRES: it is in this wheel.
  void Remove(Operation& timer);
  // Removes and returns the earliest timer if its deadline is not after `now_ns`; else null.
  Operation* PopExpired(int64_t now_ns);

 private:
  static constexpr int kTickBits = 16;
  static constexpr int kDigitBits = 6;
  static constexpr size_t kLists = size_t{1} << kDigitBits;
  // Enough for every tick of a time that is not negative.
  static constexpr int kLevels = 8;
  static_assert(kTickBits + kLevels * kDigitBits >= 63);
  // So few timers before the threshold are no reason to move it back.
  static constexpr uint64_t kFew = 128;

  // A list is a ring that begins and ends at a link of its own.
  struct Link {
    Link* next;
    Link* previous;
  };
  struct Node : Link {
    Operation* timer;
  };
  using Level = std::array<Link, kLists>;

  static uint64_t TickOf(const Operation& timer) {
    return static_cast<uint64_t>(timer.parameters().timer.when_ns) >> kTickBits;
  }
  static size_t DigitOf(uint64_t tick, int level) {
    return static_cast<size_t>(tick >> (level * kDigitBits)) % kLists;
  }
  // Of the highest digit in which two ticks differ; 0 if none does.
  static int LevelOf(uint64_t a, uint64_t b);
  static void Append(Link& list, Link& link);
  static void MoveAll(Link& from, Link& to);

  void PutInWheel(Operation& timer);
  void PutInHeap(Operation& timer);
  // The first list of a level that has timers, or kLists.
  size_t FirstOf(int level);
  // Puts the timers of a list, whose digit the threshold has come to share, on lower levels.
  void Spread(int level, size_t digit);
  // Moves the threshold on until the heap has timers. REQUIRES: it has none, the wheel has.
  void Advance();
  void MoveTo(uint64_t threshold);
  // Moves the threshold back to the tick of the first timer.
  void Rewind();

  TimerHeap heap_;
  uint64_t threshold_ = 0;
  uint64_t in_wheel_ = 0;
  // How many timers the threshold's last step put into the heap, and how many were inserted there
  // since it last moved back.
  uint64_t stepped_over_ = 0;
  uint64_t inserted_before_ = 0;
  uint64_t next_sequence_ = 0;
  // A bit for each list that may have timers.
  std::array<uint64_t, kLevels> occupied_ = {};
  std::array<Level, kLevels> levels_;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_TIMER_WHEEL_H_
