// TD-7: teardown from inside a callback.

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// Where on the loop's thread user code runs.
enum class Place { kCompletion, kTimer, kCancellation, kPostedTask };

constexpr Place kPlaces[] = {Place::kCompletion, Place::kTimer, Place::kCancellation,
                             Place::kPostedTask};

std::string PlaceName(Place place) {
  switch (place) {
    case Place::kCompletion:
      return "a completion";
    case Place::kTimer:
      return "a timer's callback";
    case Place::kCancellation:
      return "the callback of something cancelled";
    case Place::kPostedTask:
      return "a posted task";
  }
  return "";
}

// Runs `function` once in a callback of the loop.
void RunInside(Loop& loop, Place place, absl::FunctionRef<void()> function) {
  using Function = absl::FunctionRef<void()>;
  bool ran = false;
  const auto run = [&] {
    ran = true;
    function();
  };
  Function once = run;
  RecordingOperation operation([&](RecordingOperation&) { once(); });
  PostedTask task([](PostedTask& task) { (*static_cast<Function*>(task.context()))(); }, &once);
  switch (place) {
    case Place::kCompletion:
      operation.PrepareNop();
      loop.Submit(operation);
      break;
    case Place::kTimer:
      operation.PrepareTimer(kMicrosecondNs);
      loop.Submit(operation);
      break;
    case Place::kCancellation:
      operation.PrepareTimer(kForeverNs);
      loop.Submit(operation);
      loop.Cancel(operation);
      break;
    case Place::kPostedTask:
      loop.Post(task);
      break;
  }
  EXPECT_TRUE(TurnUntil(loop, [&] { return ran; })) << PlaceName(place) << " did not run";
}

// With nothing else to do, a Drain that went ahead would not even meet an obstacle.
void ExpectDrainRefused(LoopRule& rule, Place place) {
  SCOPED_TRACE(PlaceName(place));
  absl::Status inside;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  RunInside(*loop, place, [&] { inside = loop->Drain(loop->Now() + kPatienceNs); });
  ASSERT_EQ(inside.code(), absl::StatusCode::kFailedPrecondition)
      << "Drain inside " << PlaceName(place) << " was not refused: " << inside;
}

// The refusal changed nothing: what was pending goes on, and the loop takes more.
void ExpectLoopUnharmed(LoopRule& rule, Place place) {
  SCOPED_TRACE(PlaceName(place));
  RecordingOperation timer;
  RecordingOperation recv;
  RecordingOperation nop;
  char byte = 0;
  DescriptorPair pair = MakeSocketPair();
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
  loop->Submit(recv);
  timer.PrepareTimer(10 * kMillisecondNs);
  loop->Submit(timer);
  absl::Status inside;
  RunInside(*loop, place, [&] { inside = loop->Drain(0); });
  EXPECT_EQ(inside.code(), absl::StatusCode::kFailedPrecondition) << inside;
  EXPECT_TRUE(recv.finals() == 0 && loop->Descriptor(handle) >= 0)
      << "a Drain that was refused cancelled or closed: " << recv.Describe();
  nop.PrepareNop();
  loop->Submit(nop);
  WriteAll(pair.theirs.get(), "x");
  EXPECT_TRUE(TurnUntilDone(*loop, {&timer, &recv, &nop}));
  EXPECT_EQ(timer.results(), std::vector<int32_t>({0})) << timer.Describe();
  EXPECT_EQ(recv.results(), std::vector<int32_t>({1})) << recv.Describe();
  EXPECT_EQ(nop.results(), std::vector<int32_t>({0}))
      << "a Drain that was refused left the loop refusing work: " << nop.Describe();

  // The way that the refusal names: stop inside, drain outside.
  RecordingOperation stopper([&](RecordingOperation&) { loop->Stop(); });
  stopper.PrepareNop();
  loop->Submit(stopper);
  loop->Run(RunUntil::kStopped);
  const absl::Status outside = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(outside.ok()) << "Drain outside of callbacks: " << outside;
  loop.reset();
}

// Misuse that has no status to report: the process ends, and says why.
void ExpectDeath(LoopRule& rule, Place place, const char* what,
                 absl::FunctionRef<void(Owned<Loop>&)> misuse) {
  SCOPED_TRACE(PlaceName(place));
  const ChildOutcome outcome = RunInChild([&] {
    Owned<Loop> loop = MakeLoop(rule);
    if (loop == nullptr) return absl::UnavailableError("no loop");
    RunInside(*loop, place, [&] { misuse(loop); });
    return absl::OkStatus();
  });
  EXPECT_EQ(outcome.death, "SIGABRT")
      << what << " inside " << PlaceName(place) << " goes unnoticed: " << outcome.Describe();
  EXPECT_THAT(outcome.standard_error, testing::HasSubstr("TD-7"))
      << what << " inside " << PlaceName(place) << ": " << outcome.Describe();
}

}  // namespace

namespace loop_rules {

void TD_7(LoopRule& rule) {
  for (const Place place : kPlaces) {
    ASSERT_NO_FATAL_FAILURE(ExpectDrainRefused(rule, place));
    ASSERT_NO_FATAL_FAILURE(ExpectLoopUnharmed(rule, place));
  }
  for (const Place place : {Place::kCompletion, Place::kPostedTask}) {
    ExpectDeath(rule, place, "destroying the loop", [](Owned<Loop>& loop) { loop.reset(); });
    ExpectDeath(rule, place, "Poll", [](Owned<Loop>& loop) { loop->Poll(); });
    ExpectDeath(rule, place, "RunOnce", [](Owned<Loop>& loop) { loop->RunOnce(0); });
  }
  ExpectDeath(rule, Place::kCompletion, "Run", [](Owned<Loop>& loop) {
    // Run does nothing where nothing is pending, so something is.
    RecordingOperation pending;
    pending.PrepareTimer(0);
    loop->Submit(pending);
    loop->Run();
  });
}

}  // namespace loop_rules
}  // namespace tenon::conformance
