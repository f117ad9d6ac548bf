// SUB-1 and SUB-5: Submit and the callbacks of what is submitted.

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/one_of_each.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

// Submits an operation that could complete at once, and judges that it did not do so yet.
void SubmitAndJudge(Loop& loop, RecordingOperation& operation, std::string_view what) {
  const int before = operation.finals() + operation.mores();
  loop.Submit(operation);
  EXPECT_EQ(operation.finals() + operation.mores(), before)
      << "the callback of " << what << " ran before Submit returned";
  EXPECT_FALSE(operation.idle()) << what << " is idle again when Submit returns";
}

// Each opcode, with all there that it needs, outside of callbacks.
void SubmitOneOfEach(LoopRule& rule) {
  OneOfEach each(absl::StrCat(rule.temporary_directory(), "/each"));
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  each.Prepare(*loop);
  for (RecordingOperation& operation : each.operations()) {
    SubmitAndJudge(*loop, operation, OpcodeName(operation.opcode()));
    EXPECT_TRUE(TurnUntilDone(*loop, {&operation}))
        << OpcodeName(operation.opcode()) << " does not complete";
  }
}

// The same from inside a callback, where the loop is running already.
void SubmitInsideCallback(LoopRule& rule) {
  OneOfEach each(absl::StrCat(rule.temporary_directory(), "/inside"));
  RecordingOperation outer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  each.Prepare(*loop);
  outer.set_hook([&](RecordingOperation&) {
    for (RecordingOperation& operation : each.operations()) {
      SubmitAndJudge(*loop, operation, OpcodeName(operation.opcode()));
    }
    for (const RecordingOperation& operation : each.operations()) {
      EXPECT_EQ(operation.finals(), 0) << "a callback ran inside another one";
    }
  });
  outer.PrepareNop();
  loop->Submit(outer);
  for (RecordingOperation& operation : each.operations()) {
    EXPECT_TRUE(TurnUntilDone(*loop, {&operation}))
        << OpcodeName(operation.opcode()) << ", submitted in a callback, does not complete";
  }
}

// What fails is told by a completion as well, and Cancel and Close run no callback either.
void FailAndEndLater(LoopRule& rule) {
  std::array<char, 8> buffer;
  RecordingOperation stale, seeks, recv, poll, timer;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  stale.PrepareRecv({.index = 0, .generation = handle.generation + 1}, absl::MakeSpan(buffer), 0);
  SubmitAndJudge(*loop, stale, "a Recv on a stale handle");
  seeks.PrepareRead(handle, absl::MakeSpan(buffer), 17);
  SubmitAndJudge(*loop, seeks, "a Read of a socket at an offset");
  recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
  SubmitAndJudge(*loop, recv, "a Recv");
  poll.PreparePoll(handle, POLLIN);
  SubmitAndJudge(*loop, poll, "a Poll");
  timer.PrepareTimer(kSecondNs);
  SubmitAndJudge(*loop, timer, "a Timer");
  Settle(*loop);
  loop->Cancel(timer);
  EXPECT_EQ(timer.finals(), 0) << "the callback of a Timer ran before Cancel returned";
  loop->Cancel(recv);
  EXPECT_EQ(recv.finals(), 0) << "the callback of a Recv ran before Cancel returned";
  loop->Close(handle);
  EXPECT_EQ(poll.finals(), 0) << "the callback of a Poll ran before Close returned";
  EXPECT_TRUE(TurnUntilDone(*loop, {&stale, &seeks, &recv, &poll, &timer}));
}

void SubmitDuringDrain(LoopRule& rule) {
  RecordingOperation timer, late;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  timer.set_hook([&](RecordingOperation&) {
    late.PrepareNop();
    SubmitAndJudge(*loop, late, "a Nop during Drain");
  });
  timer.PrepareTimer(3'600 * kSecondNs);
  loop->Submit(timer);
  EXPECT_TRUE(loop->Drain().ok());
  EXPECT_EQ(late.finals(), 1) << late.Describe();
  SubmitAndJudge(*loop, timer, "a Timer after Drain");
  EXPECT_TRUE(TurnUntil(*loop, [&] { return timer.idle(); })) << timer.Describe();
}

// One operation that its own callback submits again, until it has run `rounds` times.
class Again {
 public:
  // Prepares the operation for its next round, and lets the other side do its part.
  using Prepare = std::function<void(RecordingOperation& operation)>;

  Again(std::string_view name, Prepare prepare) : name_(name), prepare_(std::move(prepare)) {}

  void Run(Loop& loop) {
    constexpr int kRounds = 100;
    operation_.set_hook([&](RecordingOperation& operation) {
      EXPECT_TRUE(operation.idle()) << name_ << " is not idle in its final callback";
      EXPECT_GE(operation.result(), 0) << name_ << ": " << ResultText(operation.result());
      const bool made_descriptor = operation.opcode() == Opcode::kAccept;
      if (made_descriptor) UniqueFd(operation.result()).Reset();
      if (operation.finals() == kRounds || testing::Test::HasFailure()) return;
      prepare_(operation);
      loop.Submit(operation);
    });
    prepare_(operation_);
    loop.Submit(operation_);
    EXPECT_TRUE(TurnUntil(
        loop, [&] { return operation_.finals() == kRounds || testing::Test::HasFailure(); }))
        << name_ << ", submitted again from its own callback, was lost after "
        << operation_.finals() << " completions";
    Settle(loop);
    if (!testing::Test::HasFailure()) {
      EXPECT_EQ(operation_.finals(), kRounds) << name_;
    }
  }

 private:
  const std::string_view name_;
  const Prepare prepare_;
  RecordingOperation operation_;
};

// An operation that lives on the heap and is gone when its callback returns.
struct Suicidal : Operation {
  explicit Suicidal(int* completions)
      : Operation([](Operation& operation) {
          auto& self = static_cast<Suicidal&>(operation);
          ++*self.count;
          delete &self;
        }),
        count(completions) {}
  int* const count;
};

void DestroyInOwnCallback(LoopRule& rule) {
  int completions = 0;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  auto* const nop = new Suicidal(&completions);
  nop->PrepareNop();
  loop->Submit(*nop);
  auto* const poll = new Suicidal(&completions);
  poll->PreparePoll(handle, POLLIN);
  loop->Submit(*poll);
  auto* const work = new Suicidal(&completions);
  work->PrepareWork([](void*) { return 0; }, nullptr);
  loop->Submit(*work);
  Settle(*loop);
  WriteAll(pair.theirs.get(), "x");
  EXPECT_TRUE(TurnUntil(*loop, [&] { return completions == 3; }))
      << "of three operations that end in their callbacks " << completions << " completed";
}

}  // namespace

void SUB_1(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(SubmitOneOfEach(rule));
  ASSERT_NO_FATAL_FAILURE(SubmitInsideCallback(rule));
  ASSERT_NO_FATAL_FAILURE(FailAndEndLater(rule));
  ASSERT_NO_FATAL_FAILURE(SubmitDuringDrain(rule));
}

void SUB_5(LoopRule& rule) {
  std::array<char, 64> buffer = {};
  Listener listener;
  std::vector<UniqueFd> clients;
  DescriptorPair pair = MakeSocketPair();
  DescriptorPair pipe = MakePipeToRead();
  const std::string path = absl::StrCat(rule.temporary_directory(), "/file");
  Handle socket, reading, accepting, file;
  Again cases[] = {
      {"a Nop", [](RecordingOperation& operation) { operation.PrepareNop(); }},
      {"a Timer of zero", [](RecordingOperation& operation) { operation.PrepareTimer(0); }},
      {"a Timer", [](RecordingOperation& operation) { operation.PrepareTimer(kMicrosecondNs); }},
      {"a Recv",
       [&](RecordingOperation& operation) {
         WriteAll(pair.theirs.get(), "r");
         operation.PrepareRecv(socket, absl::MakeSpan(buffer), 0);
       }},
      {"a Send",
       [&](RecordingOperation& operation) {
         ReadAvailable(pair.theirs.get());
         operation.PrepareSend(socket, "s", 0);
       }},
      {"a Poll", [&](RecordingOperation& operation) { operation.PreparePoll(socket, POLLOUT); }},
      {"a Read of a pipe",
       [&](RecordingOperation& operation) {
         WriteAll(pipe.theirs.get(), "p");
         operation.PrepareRead(reading, absl::MakeSpan(buffer), kCurrentOffset);
       }},
      {"an Accept",
       [&](RecordingOperation& operation) {
         clients.push_back(listener.Connect());
         operation.PrepareAccept(accepting);
       }},
      {"a Write to a file",
       [&](RecordingOperation& operation) { operation.PrepareWrite(file, "f", 0); }},
      {"a Work",
       [](RecordingOperation& operation) {
         operation.PrepareWork([](void*) { return 0; }, nullptr);
       }},
  };
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  socket = AdoptOrFail(*loop, std::move(pair.ours));
  reading = AdoptOrFail(*loop, std::move(pipe.ours));
  file = AdoptOrFail(*loop, UniqueFd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)));
  // Connects by address once the descriptor is the loop's.
  accepting = AdoptOrFail(*loop, listener.Take());
  for (Again& again : cases) {
    again.Run(*loop);
    if (testing::Test::HasFailure()) return;
  }
  ASSERT_NO_FATAL_FAILURE(DestroyInOwnCallback(rule));
}

}  // namespace tenon::conformance::loop_rules
