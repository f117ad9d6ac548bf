// TD-1, TD-2, TD-6: what a Drain does with the operations that are pending.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/pending_operations.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

std::string NamesOf(const std::vector<Opcode>& opcodes) {
  return opcodes.size() == 1 ? std::string(OpcodeName(opcodes.front())) : "every opcode";
}

// Drains a loop with operations of `opcodes` pending; false when it does not end.
void DrainWith(LoopRule& rule, const std::vector<Opcode>& opcodes) {
  SCOPED_TRACE(NamesOf(opcodes));
  PendingOperations pending(rule);
  const Owned<Loop> loop = MakeLoop(rule, PendingOperations::Options());
  ASSERT_NE(loop, nullptr);
  pending.Submit(*loop, opcodes);
  ASSERT_FALSE(testing::Test::HasFailure());
  ASSERT_GE(loop->Stats().pending, opcodes.size());

  const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(drained.ok()) << "with operations of " << NamesOf(opcodes)
                            << " pending Drain did not end in five seconds: " << drained;
  if (!drained.ok()) pending.GiveUp(*loop);
  EXPECT_EQ(loop->Stats().pending, 0u) << "operations pending after Drain";
  EXPECT_EQ(loop->Stats().open_handles, 0u) << "handles open after Drain";
}

// Nothing that is accepted is lost: what is submitted after Drain is refused by a completion, and
// so is what a task submits that only the destructor runs.
void RefuseAfterDrain(LoopRule& rule) {
  struct Late {
    Loop* loop = nullptr;
    RecordingOperation operation;
    PostedTask task{[](PostedTask& posted) {
                      auto& self = *static_cast<Late*>(posted.context());
                      self.operation.PrepareNop();
                      self.loop->Submit(self.operation);
                    },
                    this};
  } late;
  RecordingOperation after_drain, before_destruction;
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ASSERT_TRUE(loop->Drain().ok());
  after_drain.PrepareNop();
  loop->Submit(after_drain);
  EXPECT_TRUE(loop->Drain().ok());
  EXPECT_EQ(after_drain.finals(), 1) << "submitted after Drain: " << after_drain.Describe();
  before_destruction.PrepareNop();
  loop->Submit(before_destruction);
  late.loop = loop.get();
  EXPECT_TRUE(loop->Post(late.task));
  loop.reset();
  for (const RecordingOperation* operation : {&after_drain, &before_destruction, &late.operation}) {
    ASSERT_EQ(operation->finals(), 1) << "submitted after Drain: " << operation->Describe();
    EXPECT_EQ(operation->final_result(), -ECANCELED) << operation->Describe();
  }
}

}  // namespace

namespace loop_rules {

void TD_1(LoopRule& rule) {
  const std::vector<Opcode> every = PendingOperations::EveryOpcode();
  // One by one first: the failure then names what Drain forgets.
  for (const Opcode opcode : every) {
    ASSERT_NO_FATAL_FAILURE(DrainWith(rule, {opcode}));
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  DrainWith(rule, every);
}

void TD_2(LoopRule& rule) {
  PendingOperations pending(rule);
  RecordingOperation late;
  bool drained = false;
  int after_drain = 0;
  Owned<Loop> loop = MakeLoop(rule, PendingOperations::Options());
  ASSERT_NE(loop, nullptr);
  pending.Submit(*loop, PendingOperations::EveryOpcode());
  for (const auto& each : pending.operations()) {
    each->operation.set_hook([&](RecordingOperation&) { after_drain += drained ? 1 : 0; });
  }
  // What a callback submits meanwhile is refused, not lost.
  pending.operations().front()->operation.set_hook([&](RecordingOperation&) {
    late.PrepareTimer(0);
    loop->Submit(late);
  });
  ASSERT_FALSE(testing::Test::HasFailure());

  const absl::Status status = loop->Drain(loop->Now() + kPatienceNs);
  drained = true;
  EXPECT_TRUE(status.ok()) << status;
  for (const auto& each : pending.operations()) {
    const RecordingOperation& operation = each->operation;
    EXPECT_EQ(operation.finals(), 1)
        << each->name
        << " did not complete exactly once before Drain returned: " << operation.Describe();
    EXPECT_TRUE(operation.idle()) << each->name << " is not its owner's after Drain";
    if (!operation.done()) continue;
    const int32_t result = operation.final_result();
    const bool finished = each->may_finish && result == each->finished_result;
    EXPECT_TRUE(result == -ECANCELED || finished)
        << each->name << " that Drain gave up completed with " << ResultText(result)
        << " instead of " << ResultText(-ECANCELED);
  }
  EXPECT_EQ(late.finals(), 1) << "submitted in a callback during Drain: " << late.Describe();
  EXPECT_EQ(late.final_result(), -ECANCELED)
      << "submitted in a callback during Drain: " << late.Describe();
  if (!status.ok()) pending.GiveUp(*loop);

  loop.reset();
  EXPECT_EQ(after_drain, 0) << "callbacks that ran after Drain had returned";
  for (const auto& each : pending.operations()) {
    EXPECT_EQ(each->operation.finals(), 1) << "after the loop: " << each->operation.Describe();
  }
  RefuseAfterDrain(rule);
}

namespace {

// A Work that ends when a byte can be read from a pipe, which it says in another.
struct HeldWork {
  DescriptorPair begun = MakePipeToRead();
  DescriptorPair release = MakePipeToRead();

  static int32_t Run(void* held) {
    const HeldWork& self = *static_cast<HeldWork*>(held);
    char byte = 'x';
    if (::write(self.begun.theirs.get(), &byte, 1) != 1) return -EIO;
    while (::read(self.release.ours.get(), &byte, 1) < 0 && errno == EINTR) {
    }
    return 42;
  }
};

// What a loop still does between two Drains.
void ExpectLoopTurns(Loop& loop) {
  RecordingOperation refused;
  bool ran = false;
  PostedTask task([](PostedTask& task) { *static_cast<bool*>(task.context()) = true; }, &ran);
  refused.PrepareNop();
  loop.Submit(refused);
  EXPECT_TRUE(loop.Post(task));
  EXPECT_TRUE(TurnUntil(loop, [&] { return refused.done() && ran; }))
      << "after a Drain that ran out of time the loop does not turn: posted task "
      << (ran ? "ran, " : "did not run, ") << refused.Describe();
  EXPECT_EQ(refused.results(), std::vector<int32_t>({-ECANCELED}))
      << "after a Drain that ran out of time new operations are refused";
}

}  // namespace

void TD_6(LoopRule& rule) {
  HeldWork held;
  RecordingOperation work;
  RecordingOperation recv;
  char byte = 0;
  DescriptorPair pair = MakeSocketPair();
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  recv.PrepareRecv(AdoptOrFail(*loop, std::move(pair.ours)), absl::MakeSpan(&byte, 1), 0);
  loop->Submit(recv);
  work.PrepareWork(&HeldWork::Run, &held);
  loop->Submit(work);
  Settle(*loop);
  ASSERT_NE(WaitFor(held.begun.ours.get(), POLLIN), 0) << "a Work never began";

  const int64_t deadline_ns = loop->Now() + 20 * kMillisecondNs;
  const absl::Status first = loop->Drain(deadline_ns);
  EXPECT_EQ(first.code(), absl::StatusCode::kDeadlineExceeded)
      << "Drain with a Work that cannot be interrupted, past its deadline: " << first;
  EXPECT_THAT(std::string(first.message()), testing::HasSubstr("Work"))
      << "Drain past its deadline does not name what is in flight";
  EXPECT_GE(loop->Now(), deadline_ns) << "Drain gave up before its deadline";
  EXPECT_FALSE(work.done()) << "a Work that still runs has completed: " << work.Describe();
  EXPECT_EQ(recv.results(), std::vector<int32_t>({-ECANCELED}))
      << "what could be cancelled was not, before the deadline of Drain";
  ExpectLoopTurns(*loop);
  const absl::Status second = loop->Drain(loop->Now());
  EXPECT_EQ(second.code(), absl::StatusCode::kDeadlineExceeded)
      << "a second Drain, with the Work still in flight, reports " << second;

  WriteAll(held.release.theirs.get(), "x");
  if (second.ok()) return;  // The loop takes itself for drained and would not turn.
  const absl::Status third = loop->Drain(loop->Now() + kPatienceNs);
  EXPECT_TRUE(third.ok()) << "drained again, when nothing stands in the way: " << third;
  EXPECT_EQ(work.results(), std::vector<int32_t>({42})) << work.Describe();
  EXPECT_TRUE(loop->Drain().ok()) << "drained once more";
}

}  // namespace loop_rules
}  // namespace tenon::conformance
