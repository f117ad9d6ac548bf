// What a cancel does and what it leaves alone: CAN-1, CAN-2, CAN-4.

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/pending_operations.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

// ---- CAN-1 ----

// Cancels one of many pending operations: it completes, once, as cancelled, and not inside Cancel.
void CancelCompletesIt(Loop& loop, PendingOperation& pending) {
  SCOPED_TRACE(pending.name);
  RecordingOperation& operation = pending.operation;
  ASSERT_FALSE(operation.idle()) << "it is not pending; " << operation.Describe();
  loop.Cancel(operation);
  ASSERT_FALSE(operation.done()) << "it completed before Cancel returned; " << operation.Describe();
  ASSERT_TRUE(TurnUntilDone(loop, {&operation}))
      << "a cancelled " << pending.name << " does not complete; " << operation.Describe();
  Settle(loop);
  EXPECT_EQ(operation.finals(), 1) << operation.Describe();
  EXPECT_EQ(ResultText(operation.final_result()), ResultText(-ECANCELED))
      << "the result of a " << pending.name << " that nothing had happened to";
  EXPECT_TRUE(operation.idle());
}

// All but Close: it cancels what is pending on its handle, and cannot be cancelled.
std::vector<Opcode> CancellableOpcodes() {
  std::vector<Opcode> opcodes = PendingOperations::EveryOpcode();
  opcodes.erase(std::remove(opcodes.begin(), opcodes.end(), Opcode::kClose), opcodes.end());
  return opcodes;
}

void EachIsCancelled(Loop& loop, const PendingOperations& all) {
  // The newest first: cancelling what others wait for would let them finish.
  for (auto next = all.operations().rbegin(); next != all.operations().rend(); ++next) {
    const auto& pending = *next;
    // Those that may finish by themselves when nobody cancels them are CAN-3's.
    if (pending->may_finish) continue;
    ASSERT_NO_FATAL_FAILURE(CancelCompletesIt(loop, *pending));
  }
}

// An operation that waits for another of its direction is cancelled where it waits.
void WaitingIsCancelled(LoopRule& rule) {
  std::array<char, 8> buffer = {};
  RecordingOperation first, second, third;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (RecordingOperation* operation : {&first, &second, &third}) {
    operation->PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    loop->Submit(*operation);
  }
  Settle(*loop);
  loop->Cancel(second);
  ASSERT_TRUE(TurnUntilDone(*loop, {&second}))
      << "a cancelled Recv behind another does not complete; " << second.Describe();
  EXPECT_EQ(ResultText(second.final_result()), ResultText(-ECANCELED));
  EXPECT_FALSE(first.done() || third.done()) << first.Describe() << "; " << third.Describe();
  WriteAll(pair.theirs.get(), "abc");
  ASSERT_TRUE(TurnUntilDone(*loop, {&first})) << first.Describe();
  EXPECT_EQ(ResultText(first.final_result()), "3");
  WriteAll(pair.theirs.get(), "defg");
  ASSERT_TRUE(TurnUntilDone(*loop, {&third})) << third.Describe();
  EXPECT_EQ(ResultText(third.final_result()), "4");
}

// ---- CAN-2 ----

// Never prepared, never submitted, and completed before: nothing happens, now or at the next use.
void CancelOfIdleIsNothing(LoopRule& rule) {
  RecordingOperation unused, prepared, completed;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  prepared.PrepareTimer(kMillisecondNs);
  completed.PrepareNop();
  loop->Submit(completed);
  ASSERT_TRUE(TurnUntilDone(*loop, {&completed})) << completed.Describe();
  for (RecordingOperation* operation : {&unused, &prepared, &completed}) {
    loop->Cancel(*operation);
    loop->Cancel(*operation);
  }
  Settle(*loop);
  EXPECT_EQ(unused.finals() + prepared.finals(), 0)
      << "a cancel completed an operation that was not submitted";
  EXPECT_EQ(completed.finals(), 1) << "a cancel completed it again; " << completed.Describe();
  EXPECT_EQ(completed.result(), 0) << "a cancel changed the result of a completed operation";

  completed.Forget();
  completed.PrepareTimer(kMillisecondNs);
  for (RecordingOperation* operation : {&prepared, &completed}) loop->Submit(*operation);
  ASSERT_TRUE(TurnUntilDone(*loop, {&prepared, &completed}))
      << prepared.Describe() << "; " << completed.Describe();
  EXPECT_EQ(ResultText(prepared.final_result()), "0") << "cancelled before it was submitted";
  EXPECT_EQ(ResultText(completed.final_result()), "0") << "cancelled in its previous use";
}

// Finished, with its callback still to come: its result stands.
void CancelOfFinishedIsNothing(LoopRule& rule) {
  RecordingOperation finished, stale;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  finished.PrepareNop();
  stale.PreparePoll(Handle{}, POLLIN);
  for (RecordingOperation* operation : {&finished, &stale}) {
    loop->Submit(*operation);
    ASSERT_EQ(operation->state(), OperationState::kReady);
    loop->Cancel(*operation);
    loop->Cancel(*operation);
  }
  ASSERT_TRUE(TurnUntilDone(*loop, {&finished, &stale}))
      << finished.Describe() << "; " << stale.Describe();
  Settle(*loop);
  EXPECT_EQ(finished.finals(), 1) << finished.Describe();
  EXPECT_EQ(stale.finals(), 1) << stale.Describe();
  EXPECT_EQ(ResultText(finished.final_result()), "0")
      << "a cancel changed the result of an operation that was finished";
  EXPECT_EQ(ResultText(stale.final_result()), ResultText(-EBADF))
      << "a cancel changed the result of an operation that was finished";
}

// In its own callback it is idle, and its cancel has no effect on what the callback submits.
void CancelInItsCallbackIsNothing(LoopRule& rule) {
  Loop* running = nullptr;
  int uses = 0;
  RecordingOperation operation([&](RecordingOperation& self) {
    running->Cancel(self);
    if (++uses == 3) return;
    self.PrepareTimer(kMicrosecondNs);
    running->Submit(self);
  });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  running = loop.get();
  operation.PrepareNop();
  loop->Submit(operation);
  ASSERT_TRUE(TurnUntil(*loop, [&] { return uses == 3; })) << operation.Describe();
  Settle(*loop);
  EXPECT_EQ(operation.finals(), 3) << operation.Describe();
  EXPECT_EQ(operation.results(), std::vector<int32_t>({0, 0, 0})) << operation.Describe();
}

// Every kind of pending operation, cancelled several times before and after its completion.
void RepeatedCancelIsNothing(LoopRule& rule) {
  PendingOperations all(rule);
  const Owned<Loop> loop = MakeLoop(rule, PendingOperations::Options());
  ASSERT_NE(loop, nullptr);
  all.Submit(*loop, PendingOperations::EveryOpcode());
  for (int i = 0; i < 3; ++i) {
    for (const auto& pending : all.operations()) loop->Cancel(pending->operation);
  }
  loop->Poll();
  for (const auto& pending : all.operations()) loop->Cancel(pending->operation);
  all.GiveUp(*loop);
  for (const auto& pending : all.operations()) loop->Cancel(pending->operation);
  Settle(*loop);
  for (const auto& pending : all.operations()) {
    EXPECT_EQ(pending->operation.finals(), 1)
        << pending->name << " cancelled again and again; " << pending->operation.Describe();
    if (pending->may_finish) continue;
    EXPECT_EQ(ResultText(pending->operation.final_result()), ResultText(-ECANCELED))
        << pending->name << " cancelled again and again";
  }
}

// ---- CAN-4 ----

constexpr uint32_t kDepth = 4;

// A Recv on a connection of its own.
struct Lane {
  std::array<char, 8> buffer = {};
  RecordingOperation recv;
  UniqueFd theirs;
  Handle handle;

  void Open(Loop& loop) {
    DescriptorPair pair = MakeSocketPair();
    theirs = std::move(pair.theirs);
    handle = AdoptOrFail(loop, std::move(pair.ours));
  }
  void Submit(Loop& loop) {
    recv.Forget();
    recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    loop.Submit(recv);
  }
};

using Lanes = std::array<Lane, 10 * kDepth>;

// The results of `lanes` from `first` on are those of a cancel.
void ExpectCancelled(Loop& loop, Lanes& lanes, size_t first, const char* when) {
  const bool done = TurnUntil(loop, [&] {
    for (size_t i = first; i < lanes.size(); ++i) {
      if (!lanes[i].recv.done()) return false;
    }
    return true;
  });
  for (size_t i = first; i < lanes.size() && !done; ++i) {
    ASSERT_TRUE(lanes[i].recv.done()) << "a cancel " << when << " had no effect on Recv " << i;
  }
  for (size_t i = first; i < lanes.size(); ++i) {
    ASSERT_EQ(lanes[i].recv.finals(), 1) << lanes[i].recv.Describe();
    ASSERT_EQ(ResultText(lanes[i].recv.final_result()), ResultText(-ECANCELED))
        << "Recv " << i << ", cancelled " << when;
  }
}

// With the peers gone, whatever still waits has an end, and the loop can be destroyed.
void HangUp(Lanes& lanes) {
  for (Lane& lane : lanes) lane.theirs.Reset();
}

}  // namespace

void CAN_1(LoopRule& rule) {
  PendingOperations all(rule);
  const Owned<Loop> loop = MakeLoop(rule, PendingOperations::Options());
  ASSERT_NE(loop, nullptr);
  all.Submit(*loop, CancellableOpcodes());
  if (!testing::Test::HasFailure()) EachIsCancelled(*loop, all);
  // What a wrong cancel left behind ends with its peer.
  for (const auto& pending : all.operations()) pending->others.clear();
  all.GiveUp(*loop);
  if (testing::Test::HasFailure()) return;
  ASSERT_NO_FATAL_FAILURE(WaitingIsCancelled(rule));
}

void CAN_2(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(CancelOfIdleIsNothing(rule));
  ASSERT_NO_FATAL_FAILURE(CancelOfFinishedIsNothing(rule));
  ASSERT_NO_FATAL_FAILURE(CancelInItsCallbackIsNothing(rule));
  ASSERT_NO_FATAL_FAILURE(RepeatedCancelIsNothing(rule));
}

void CAN_4(LoopRule& rule) {
  auto lanes = std::make_unique<Lanes>();
  const Owned<Loop> loop = MakeLoop(rule, {.queue_depth = kDepth});
  ASSERT_NE(loop, nullptr);
  for (Lane& lane : *lanes) lane.Open(*loop);

  // Cancelled while they are queued, far beyond the depth of the queue.
  for (Lane& lane : *lanes) lane.Submit(*loop);
  ASSERT_GT(loop->Stats().queued, kDepth) << "the queue is not full";
  for (size_t i = lanes->size() / 2; i < lanes->size(); ++i) loop->Cancel((*lanes)[i].recv);
  ExpectCancelled(*loop, *lanes, lanes->size() / 2, "while it was queued behind a full queue");
  if (testing::Test::HasFailure()) return HangUp(*lanes);

  // Cancelled in flight, with the queue filled again in the same moment.
  constexpr size_t kInFlight = 5 * kDepth;
  for (size_t turn = 0; turn < lanes->size() && loop->Stats().queued > 0; ++turn) loop->Poll();
  for (size_t i = 0; i < kInFlight; ++i) {
    ASSERT_EQ((*lanes)[i].recv.state(), OperationState::kInFlight);
  }
  for (size_t i = kInFlight; i < lanes->size(); ++i) (*lanes)[i].Submit(*loop);
  ASSERT_GT(loop->Stats().queued, kDepth) << "the queue is not full";
  for (Lane& lane : *lanes) loop->Cancel(lane.recv);
  ExpectCancelled(*loop, *lanes, 0, "while the queue was full");
  if (testing::Test::HasFailure()) return HangUp(*lanes);

  // And the queue still works.
  for (Lane& lane : *lanes) {
    lane.Submit(*loop);
    WriteAll(lane.theirs.get(), "x");
  }
  for (Lane& lane : *lanes) {
    ASSERT_TRUE(TurnUntilDone(*loop, {&lane.recv})) << lane.recv.Describe();
    ASSERT_EQ(ResultText(lane.recv.final_result()), "1");
  }
}

}  // namespace tenon::conformance::loop_rules
