// What every rule's body is given, whatever its facet.

#ifndef TENON_CONFORMANCE_RULES_RULE_CONTEXT_H_
#define TENON_CONFORMANCE_RULES_RULE_CONTEXT_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/ledger/tracking_allocator.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// The surroundings of one run of one rule's body.
//
// A body runs in a process of its own, inside a GoogleTest test: it judges with EXPECT_* and
// ASSERT_*, and the first failure's message is what users read, so it says what was expected of
// whom. The body passes by returning without a failure. Afterwards the runner checks that the
// process holds what it held before: descriptors, threads, mappings, bytes. A body that needs to
// wait waits for progress; the runner's watchdog ends what makes none. A body whose only finding is
// grown anonymous memory is run again, so bodies keep no state in globals.
//
// Threads: the body's, except allocator().
class RuleContext {
 public:
  struct Settings {
    const Rule* rule = nullptr;
    std::string subject;
    uint64_t seed = 0;
    // Exists, empty, writable; removed by the runner after the run.
    std::string temporary_directory;
  };

  enum class Outcome { kJudged, kUnsupported, kInconclusive };

  explicit RuleContext(Settings settings);
  RuleContext(const RuleContext&) = delete;
  RuleContext& operator=(const RuleContext&) = delete;

  const Rule& rule() const { return *settings_.rule; }
  std::string_view subject() const { return settings_.subject; }

  // The allocator for what is tested. Thread-safe; its balance and its misuse are checked at the
  // end. Requests fail as faults() was told.
  Allocator& allocator() { return faults_; }

  // Chooses which requests to allocator() fail: FailNth(n), FailFrom(n), Clear(), injected(),
  // requests(). See conformance/faults/sweep.h for trying every n.
  alloc::FaultAllocator& faults() { return faults_; }

  // Counts the blocks of allocator(), beneath the faults.
  TrackingAllocator& tracking() { return tracking_; }

  // The seed of this run, printed with every failure, and a generator that starts from it. Every
  // random choice comes from one of the two.
  uint64_t seed() const { return settings_.seed; }
  std::mt19937_64& random() { return random_; }

  const std::string& temporary_directory() const { return settings_.temporary_directory; }

  // Marked just before the body. For a comparison inside a body make another:
  // `Ledger ledger(&rule.tracking());`.
  Ledger& ledger() { return ledger_; }

  // The verdict becomes inconclusive, unless something failed: what the rule is about could not be
  // brought about. Never counts as a pass. Return afterwards.
  void Inconclusive(std::string reason);

  // The verdict becomes unsupported, unless something failed: what the rule is about is declared
  // not to be there, by the implementation or by the build ("debug checks are compiled out").
  // Return afterwards.
  void Unsupported(std::string reason);

  // What the body measured, in a few words with their units: reports show it of a rule that passes.
  // At most one call counts, the last.
  void Measured(std::string what);

  // Anonymous memory that grew is no failure of this run: what is tested is a heap of the process,
  // which keeps what was freed for what comes.
  void KeepsFreedMemory() { keeps_freed_memory_ = true; }

  // For the runner.
  bool keeps_freed_memory() const { return keeps_freed_memory_; }
  Outcome outcome() const { return outcome_; }
  // Why it was not judged; what was measured where it was.
  const std::string& reason() const { return outcome_ == Outcome::kJudged ? measured_ : reason_; }

 private:
  const Settings settings_;
  TrackingAllocator tracking_;
  alloc::FaultAllocator faults_;
  std::mt19937_64 random_;
  Ledger ledger_;
  Outcome outcome_ = Outcome::kJudged;
  std::string reason_;
  std::string measured_;
  bool keeps_freed_memory_ = false;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_RULE_CONTEXT_H_
