// Trying a fault at every point where it can strike: n = 1, 2, ... until nothing is struck any
// more.

#ifndef TENON_CONFORMANCE_FAULTS_SWEEP_H_
#define TENON_CONFORMANCE_FAULTS_SWEEP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/rules/rule_context.h"

namespace tenon::conformance {

// How often an armed fault strikes.
enum class FaultMode {
  kTransient,  // the nth request alone
  kSticky,     // the nth and all after it
};

// Something that can be made to fail at its nth use.
class FaultSource {
 public:
  virtual ~FaultSource() = default;

  // What is refused, for messages: "allocation".
  virtual std::string name() const = 0;
  // From now on the nth use fails, by `mode`; n >= 1.
  virtual void Arm(uint64_t n, FaultMode mode) = 0;
  // Nothing fails any more. Returns how many failed since Arm.
  virtual uint64_t Disarm() = 0;
  // Whether a fault of this mode can be armed.
  virtual bool Supports(FaultMode /*mode*/) const { return true; }
  // Whether Disarm counts. If not, a sweep takes an attempt that failed as one that met a fault.
  virtual bool Observable() const { return true; }
};

// Requests to a rule's allocator.
class AllocationFaults final : public FaultSource {
 public:
  // `faults` outlives this.
  explicit AllocationFaults(alloc::FaultAllocator& faults) : faults_(faults) {}

  std::string name() const override { return "allocation"; }
  void Arm(uint64_t n, FaultMode mode) override;
  uint64_t Disarm() override;

 private:
  alloc::FaultAllocator& faults_;
};

struct SweepOptions {
  // The modes to sweep with, in this order.
  bool transient = true;
  bool sticky = true;
  // The code that an attempt which met a fault must fail with; any when empty.
  std::optional<absl::StatusCode> expected_code = absl::StatusCode::kResourceExhausted;
  // Part of the message that it must fail with; empty for any.
  std::string expected_message = {};
  // Whether an attempt that met a fault may succeed all the same. It may where a refusal is
  // tolerable by contract, such as that of an in-place resize; such attempts are counted.
  bool may_swallow = false;
  // Whether each attempt must leave the process as it found it: descriptors, threads, mappings,
  // blocks of the rule's allocator.
  bool check_ledger = true;
  // Attempts after which a sweep that still strikes is a failure.
  uint64_t limit = 10'000;
};

struct SweepResult {
  // Attempts, the final ones without a fault included.
  uint64_t attempts = 0;
  // Attempts that met a fault; those of them that succeeded all the same.
  uint64_t struck = 0;
  uint64_t swallowed = 0;
};

// Calls `attempt` with the nth use of `source` failing, for n = 1, 2, ..., until an attempt meets
// no fault; that one must succeed, as must one afterwards with nothing armed. An attempt returns OK
// when all it did succeeded, else the first error; it undoes what it did. The source is disarmed,
// and whatever `attempt` made is gone, before the process is compared.
//
// Reports what is wrong as GoogleTest failures that name n and the mode, and stops at the first. A
// sweep that never met a fault makes the rule inconclusive.
SweepResult Sweep(RuleContext& rule, FaultSource& source, const SweepOptions& options,
                  absl::FunctionRef<absl::Status()> attempt);

// Sweep over the requests to the rule's allocator.
SweepResult SweepAllocations(RuleContext& rule, const SweepOptions& options,
                             absl::FunctionRef<absl::Status()> attempt);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_FAULTS_SWEEP_H_
