// Operations that remember their completions, and loops to run them on.

#ifndef TENON_CONFORMANCE_LOOP_RECORDER_H_
#define TENON_CONFORMANCE_LOOP_RECORDER_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance {

// An operation that counts its completions and keeps their results.
//
// Declare operations and their buffers before the loop that runs them: where a rule fails in the
// middle, the loop is then destroyed first, and drains, before they go.
//
//   RecordingOperation recv;
//   const Owned<Loop> loop = MakeLoop(rule);
//   ASSERT_NE(loop, nullptr);
//   recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
//   loop->Submit(recv);
//   EXPECT_TRUE(TurnUntil(*loop, [&] { return recv.done(); })) << recv.Describe();
class RecordingOperation : public Operation {
 public:
  using Hook = std::function<void(RecordingOperation& operation)>;

  RecordingOperation() : Operation(&OnComplete) {}
  // `hook` runs in every completion, after it was counted.
  explicit RecordingOperation(Hook hook) : RecordingOperation() { hook_ = std::move(hook); }

  void set_hook(Hook hook) { hook_ = std::move(hook); }

  // Completions so far, without kMore and with it.
  int finals() const { return finals_; }
  int mores() const { return mores_; }
  bool done() const { return finals_ > 0; }
  // The result of the latest final completion. REQUIRES: done().
  int32_t final_result() const { return final_result_; }
  // Results in order, those with kMore and final ones.
  const std::vector<int32_t>& results() const { return results_; }

  // Forgets what was counted, before another use.
  void Forget();

  // "Recv: 1 final completion(s), 2 with kMore, results 5 7 -125 (ECANCELED)".
  std::string Describe() const;

 private:
  static void OnComplete(Operation& operation);

  Hook hook_;
  int finals_ = 0;
  int mores_ = 0;
  int32_t final_result_ = 0;
  std::vector<int32_t> results_;
};

// "17", or "-125 (ECANCELED)".
std::string ResultText(int32_t result);

// A loop of the rule's backend on the rule's allocator. Null, with a failure of the rule, when it
// cannot be made.
Owned<Loop> MakeLoop(LoopRule& rule, const LoopOptions& options = {});

// Adopts; a stale handle, with a failure of the rule, when that fails.
Handle AdoptOrFail(Loop& loop, UniqueFd fd);

// What rules wait for progress at most, by the loop's clock. It ends long before the watchdog, so
// that the rule can say what did not happen.
inline constexpr int64_t kPatienceNs = 5 * kSecondNs;

// Turns the loop until `condition` holds: true then, false when patience ran out first.
bool TurnUntil(Loop& loop, absl::FunctionRef<bool()> condition, int64_t patience_ns = kPatienceNs);

// TurnUntil all of `operations` are done.
bool TurnUntilDone(Loop& loop, std::initializer_list<const RecordingOperation*> operations);

// Turns a few times without waiting, for what is already on its way and may not arrive: a second
// completion, an event for somebody else.
void Settle(Loop& loop);

// For operations of a scope that ends before their loop: cancels, at its end, what a failure in the
// middle has left pending, and turns the loop until it is its owner's again.
class GiveUpAtExit {
 public:
  GiveUpAtExit(Loop& loop, std::initializer_list<Operation*> operations)
      : loop_(loop), operations_(operations) {}
  ~GiveUpAtExit();
  GiveUpAtExit(const GiveUpAtExit&) = delete;
  GiveUpAtExit& operator=(const GiveUpAtExit&) = delete;

 private:
  Loop& loop_;
  const std::vector<Operation*> operations_;
};

// What the calling thread has used of the processor: a loop that spins cannot hide it.
int64_t ThreadCpuNs();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_RECORDER_H_
