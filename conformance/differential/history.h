// What one run of a script produced: the completions that callbacks saw and what plain system calls
// saw from outside, phase by phase.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_HISTORY_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_HISTORY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/conformance/differential/script.h"

namespace tenon::conformance::differential {

// One run of an operation's callback; of a pump, its end.
struct Completion {
  int64_t operation = 0;
  Verb verb = Verb::kNop;
  int32_t result = 0;
  bool more = false;
  // Cancelled by a race step.
  bool raced = false;
  // The operations with which this one is ordered: those of one direction of one handle, or the
  // timers. Empty for none.
  std::string lane;
  // The bytes that it delivered, or words about what it made.
  std::string content;

  friend bool operator==(const Completion&, const Completion&) = default;
};

// From one point where nothing moves to the next.
struct Phase {
  std::vector<Completion> completions;
  // Sentences such as "peer of h1 read 30 bytes …", in order.
  std::vector<std::string> observations;
};

struct History {
  // The last one may be cut off, if `end` is not empty.
  std::vector<Phase> phases;
  // What is wrong whatever other backends do: a callback too many, a descriptor left behind.
  std::vector<std::string> violations;
  // What ended the run early: "SIGABRT: …", "hang after 20 s: …", "stalled: …". Empty if nothing.
  std::string end;
};

// "30 bytes 0f1e2d…" with a checksum; "nothing" for none.
std::string BytesText(std::string_view bytes);

// "o7 recv: 30 with more, 30 bytes …"
std::string CompletionText(const Completion& completion);

// For people: every phase with its completions and observations.
std::string HistoryText(const History& history);

// Sends a history through a pipe while it happens, so that what came before a crash is known.
//
// Ownership: the descriptor stays the caller's.
class HistoryWriter {
 public:
  explicit HistoryWriter(int fd) : fd_(fd) {}

  void Add(const Completion& completion);
  void Observe(std::string_view sentence);
  void Violation(std::string_view sentence);
  void EndPhase();
  // The run ends here; `reason` is empty when it was complete.
  void End(std::string_view reason);

 private:
  const int fd_;
};

// Reads what a HistoryWriter sent. `death` is how the process ended that sent it, and counts when
// the writer's End is missing.
History ParseHistory(std::string_view bytes, std::string_view death);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_HISTORY_H_
