// INIT-7 and INIT-9: what holds of a loop as long as it lives, in its process and in others.

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/echo_probe.h"
#include "tenon/conformance/loop/one_of_each.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr LoopOptions kSmall = {.max_handles = 256, .queue_depth = 16};

void ExpectCloseOnExec(int fd, std::string_view what) {
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0)
      << what << " (descriptor " << fd << " -> " << IdentityOf(fd) << ") is not close-on-exec";
}

// Everything that making a loop opens.
void ExpectOwnDescriptorsCloseOnExec(LoopRule& rule) {
  const std::map<int, std::string> before = TakeSnapshot(nullptr).descriptors;
  const Owned<Loop> loop = MakeLoop(rule, kSmall);
  ASSERT_NE(loop, nullptr);
  if (loop->capabilities().provided_buffers) {
    EXPECT_TRUE(loop->RegisterBuffers(4, 64).ok());
  }
  for (const auto& [fd, identity] : TakeSnapshot(nullptr).descriptors) {
    if (!before.contains(fd)) ExpectCloseOnExec(fd, "a descriptor of the loop");
  }
}

// Everything that operations open for their callers.
void ExpectMadeDescriptorsCloseOnExec(LoopRule& rule) {
  Listener listener;
  RecordingOperation accept, multishot, open;
  const Owned<Loop> loop = MakeLoop(rule, kSmall);
  ASSERT_NE(loop, nullptr);
  const auto judge = [](RecordingOperation& operation) {
    if (operation.result() < 0) return;
    ExpectCloseOnExec(operation.result(), OpcodeName(operation.opcode()));
    UniqueFd(operation.result()).Reset();
  };
  for (RecordingOperation* operation : {&accept, &multishot, &open}) operation->set_hook(judge);
  const UniqueFd first = listener.Connect();
  const Handle handle = AdoptOrFail(*loop, listener.Take());
  accept.PrepareAccept(handle);
  // Without flags of its own for close-on-exec.
  open.PrepareOpenAt(kCurrentDirectory, rule.temporary_directory().c_str(), O_RDONLY | O_DIRECTORY,
                     0);
  loop->Submit(accept);
  loop->Submit(open);
  EXPECT_TRUE(TurnUntilDone(*loop, {&accept, &open}));
  EXPECT_GE(accept.final_result(), 0) << accept.Describe();
  EXPECT_GE(open.final_result(), 0) << open.Describe();
  if (!loop->capabilities().multishot) return;
  const UniqueFd second = listener.Connect();
  multishot.PrepareAcceptMultishot(handle);
  loop->Submit(multishot);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return multishot.mores() > 0; })) << multishot.Describe();
  loop->Cancel(multishot);
  EXPECT_TRUE(TurnUntilDone(*loop, {&multishot}));
}

// A use of a loop that is refused in a forked child.
struct Misuse {
  std::string_view name;
  void (*use)(Loop& loop, Handle handle);
};

constexpr Misuse kMisuses[] = {
    {"Submit",
     [](Loop& loop, Handle) {
       RecordingOperation nop;
       nop.PrepareNop();
       loop.Submit(nop);
     }},
    {"Cancel",
     [](Loop& loop, Handle) {
       RecordingOperation nop;
       loop.Cancel(nop);
     }},
    {"Close", [](Loop& loop, Handle handle) { loop.Close(handle); }},
    {"RunOnce", [](Loop& loop, Handle) { loop.RunOnce(0); }},
    {"Run", [](Loop& loop, Handle) { loop.Run(); }},
    {"RegisterBuffers", [](Loop& loop, Handle) { loop.RegisterBuffers(1, 1).IgnoreError(); }},
    {"Post",
     [](Loop& loop, Handle) {
       PostedTask task([](PostedTask&) {});
       loop.Post(task);
     }},
    {"Wake", [](Loop& loop, Handle) { loop.Wake(); }},
    {"Stop", [](Loop& loop, Handle) { loop.Stop(); }},
};

void ExpectUseInChildRefused(Loop& loop, Handle handle) {
  for (const Misuse& misuse : kMisuses) {
    const ChildOutcome outcome = RunInChild([&] {
      misuse.use(loop, handle);
      return absl::OkStatus();
    });
    ASSERT_EQ(outcome.death, "SIGABRT")
        << misuse.name << " of a loop in a forked child went unnoticed: " << outcome.Describe();
    ASSERT_THAT(outcome.standard_error, testing::HasSubstr("INIT-7"))
        << misuse.name << " of a loop in a forked child ended it for another reason";
  }
  // Those that return a status say it that way.
  const ChildOutcome adopted =
      RunInChild([&] { return loop.Adopt(std::move(MakeSocketPair().ours)).status(); });
  EXPECT_EQ(adopted.status.code(), absl::StatusCode::kFailedPrecondition)
      << "Adopt in a forked child: " << adopted.Describe();
  const ChildOutcome drained = RunInChild([&] { return loop.Drain(); });
  EXPECT_EQ(drained.status.code(), absl::StatusCode::kFailedPrecondition)
      << "Drain in a forked child: " << drained.Describe();
}

// What is pending in the parent survives a child that destroys its copy of the loop.
void ExpectChildMayDestroy(LoopRule& rule) {
  EchoProbe pending, idle;
  RecordingOperation timer, work, poll;
  int posts = 0;
  auto task = std::make_unique<PostedTask>(
      [](PostedTask& own) { ++*static_cast<int*>(own.context()); }, &posts);
  Owned<Loop> loop = MakeLoop(rule, kSmall);
  ASSERT_NE(loop, nullptr);
  pending.Adopt(*loop);
  idle.Adopt(*loop);
  idle.ExpectWorks(*loop, "before the fork");
  pending.BeginRecv(*loop);
  poll.PreparePoll(idle.handle(), POLLIN);
  loop->Submit(poll);
  Settle(*loop);
  ASSERT_EQ(poll.state(), OperationState::kInFlight);
  timer.PrepareTimer(kMillisecondNs);
  loop->Submit(timer);
  EXPECT_TRUE(loop->Post(*task));
  Loop& parents = *loop;
  const ChildOutcome outcome = RunInChild([&] {
    loop.reset();
    task.reset();
    EXPECT_TRUE(poll.idle()) << "an operation cannot be destroyed in the child";
    EXPECT_EQ(poll.finals() + timer.finals(), 0) << "the child's loop ran the parent's callbacks";
    EXPECT_EQ(timer.state(), OperationState::kIdle);
    return absl::OkStatus();
  });
  EXPECT_TRUE(outcome.returned) << "a forked child cannot destroy its copy of a loop: "
                                << outcome.Describe();
  pending.ExpectWorks(parents, "after a forked child destroyed its copy of the loop,");
  EXPECT_TRUE(TurnUntilDone(parents, {&timer})) << "a forked child took the parent's timer";
  EXPECT_EQ(posts, 1) << "a forked child took the parent's posted task";
  EXPECT_EQ(poll.finals(), 0) << "a forked child disturbed the parent's Poll";
  WriteAll(idle.theirs(), "x");
  EXPECT_TRUE(TurnUntilDone(parents, {&poll})) << "the parent's Poll is lost";
  work.PrepareWork([](void*) { return 1; }, nullptr);
  parents.Submit(work);
  EXPECT_TRUE(TurnUntilDone(parents, {&work})) << "the parent's threads are lost";
}

// An operation that allocates nothing itself when it completes.
struct CountedOperation : Operation {
  CountedOperation()
      : Operation([](Operation& op) { ++static_cast<CountedOperation&>(op).completions; }) {}
  int completions = 0;
};

// Operations by the hundred, pending at once: receives, polls and timers on small queues.
class Crowd {
 public:
  static constexpr size_t kPairs = 100;
  static constexpr size_t kTimers = 900;
  static constexpr size_t kAll = 2 * kPairs + kTimers;

  void Prepare(Loop& loop) {
    for (size_t i = 0; i < kPairs; ++i) {
      DescriptorPair pair = MakeSocketPair();
      theirs_[i] = std::move(pair.theirs);
      handles_[i] = AdoptOrFail(loop, std::move(pair.ours));
    }
  }

  void Submit(Loop& loop) {
    for (size_t i = 0; i < kPairs; ++i) {
      operations_[2 * i].PrepareRecv(handles_[i], absl::MakeSpan(&bytes_[i], 1), 0);
      operations_[2 * i + 1].PreparePoll(handles_[i], POLLIN);
    }
    // Neither near enough to fire by itself, nor all alike.
    for (size_t i = 0; i < kTimers; ++i) {
      operations_[2 * kPairs + i].PrepareTimer(3'600 * kSecondNs + static_cast<int64_t>(i * i));
    }
    for (size_t i = 0; i < kAll; ++i) loop.Submit(operations_[i]);
  }

  // Lets half of the receives succeed and cancels the rest.
  void End(Loop& loop) {
    for (size_t i = 0; i < kPairs; i += 2) WriteAll(theirs_[i].get(), "x");
    TurnUntil(loop, [this] { return operations_[2 * (kPairs - 2)].completions > 0; });
    for (size_t i = 0; i < kAll; ++i) loop.Cancel(operations_[i]);
    TurnUntil(loop, [this] { return completed() == kAll; });
  }

  size_t completed() const {
    size_t completed = 0;
    for (size_t i = 0; i < kAll; ++i) completed += operations_[i].completions > 0 ? 1 : 0;
    return completed;
  }
  size_t idle() const {
    size_t idle = 0;
    for (size_t i = 0; i < kAll; ++i) idle += operations_[i].idle() ? 1 : 0;
    return idle;
  }

 private:
  std::array<UniqueFd, kPairs> theirs_;
  std::array<Handle, kPairs> handles_;
  std::array<char, kPairs> bytes_ = {};
  std::unique_ptr<CountedOperation[]> operations_{new CountedOperation[kAll]};
};

void ExpectNoRequests(LoopRule& rule, uint64_t before, std::string_view who) {
  EXPECT_EQ(rule.faults().requests(), before) << who << " asked the loop's allocator for memory";
}

// The heap's own books catch what passes by the loop's allocator; zero under a sanitizer.
size_t HeapInUse() { return ::mallinfo2().uordblks; }

}  // namespace

void INIT_7(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(ExpectOwnDescriptorsCloseOnExec(rule));
  ASSERT_NO_FATAL_FAILURE(ExpectMadeDescriptorsCloseOnExec(rule));
  EchoProbe probe;
  const Owned<Loop> loop = MakeLoop(rule, kSmall);
  ASSERT_NE(loop, nullptr);
  probe.Adopt(*loop);
  probe.BeginRecv(*loop);
  ASSERT_NO_FATAL_FAILURE(ExpectUseInChildRefused(*loop, probe.handle()));
  probe.ExpectWorks(*loop, "after forked children were refused the loop,");
  ExpectChildMayDestroy(rule);
}

void INIT_9(LoopRule& rule) {
  OneOfEach each(absl::StrCat(rule.temporary_directory(), "/each"));
  Crowd crowd;
  int posted = 0;
  PostedTask task([](PostedTask& own) { ++*static_cast<int*>(own.context()); }, &posted);
  const Owned<Loop> loop = MakeLoop(rule, kSmall);
  ASSERT_NE(loop, nullptr);
  each.Prepare(*loop);
  crowd.Prepare(*loop);

  // From here on there is no memory to be had.
  rule.faults().FailFrom(1);
  const uint64_t before = rule.faults().requests();
  for (RecordingOperation& operation : each.operations()) {
    const Opcode opcode = operation.opcode();
    loop->Submit(operation);
    EXPECT_TRUE(TurnUntilDone(*loop, {&operation}))
        << OpcodeName(opcode) << " did not complete without memory";
    ExpectNoRequests(rule, before, OpcodeName(opcode));
    if (OneOfEach::MakesDescriptor(opcode)) {
      EXPECT_GE(operation.final_result(), 0) << "without memory: " << operation.Describe();
    } else {
      EXPECT_EQ(operation.final_result(), OneOfEach::ExpectedResult(opcode))
          << "without memory: " << operation.Describe();
    }
  }

  const size_t heap_before = HeapInUse();
  crowd.Submit(*loop);
  Settle(*loop);
  EXPECT_EQ(crowd.idle(), 0u) << "the crowd of operations is not pending";
  const size_t heap_during = HeapInUse();
  // Much less than a pointer for each.
  constexpr size_t kTolerance = 4'096;
  EXPECT_LT(heap_during, heap_before + kTolerance)
      << Crowd::kAll << " pending operations made the process's heap grow";
  crowd.End(*loop);
  EXPECT_EQ(crowd.completed(), Crowd::kAll) << "operations that never completed";
  ExpectNoRequests(rule, before, "a crowd of operations");

  loop->Wake();
  loop->Post(task);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return posted == 1; })) << "a posted task did not run";
  EXPECT_TRUE(loop->Drain().ok());
  ExpectNoRequests(rule, before, "Wake, Post or Drain");
  rule.faults().Clear();
}

}  // namespace tenon::conformance::loop_rules
