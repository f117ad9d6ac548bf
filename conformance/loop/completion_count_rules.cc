// How many completions: CMP-1, CMP-2.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/one_of_each.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

bool AllDone(const std::array<RecordingOperation, kOpcodeCount>& operations) {
  return std::all_of(operations.begin(), operations.end(),
                     [](const RecordingOperation& operation) { return operation.done(); });
}

// Submits one operation of each opcode, calls `meddle`, and waits for all of them.
void RunOneOfEach(LoopRule& rule, OneOfEach& each, absl::FunctionRef<void(Loop&)> meddle) {
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  each.Prepare(*loop);
  ASSERT_FALSE(testing::Test::HasFailure());
  for (RecordingOperation& operation : each.operations()) loop->Submit(operation);
  for (const uint64_t submitted : loop->Stats().submitted) ASSERT_EQ(submitted, 1u);
  meddle(*loop);
  TurnUntil(*loop, [&] { return AllDone(each.operations()); });
  Settle(*loop);
  for (const RecordingOperation& operation : each.operations()) {
    EXPECT_EQ(operation.finals(), 1)
        << "a submitted operation completes finally once; " << operation.Describe();
    EXPECT_EQ(operation.mores(), 0) << operation.Describe();
    EXPECT_TRUE(operation.idle()) << operation.Describe();
  }
  EXPECT_EQ(loop->Stats().pending, 0u);
}

// Each opcode succeeds, once.
void EachSucceedsOnce(LoopRule& rule) {
  OneOfEach each(absl::StrCat(rule.temporary_directory(), "/succeeds"));
  ASSERT_NO_FATAL_FAILURE(RunOneOfEach(rule, each, [](Loop&) {}));
  for (const RecordingOperation& operation : each.operations()) {
    if (!operation.done()) continue;
    const Opcode opcode = operation.opcode();
    if (OneOfEach::MakesDescriptor(opcode)) {
      EXPECT_GE(operation.final_result(), 0) << operation.Describe();
    } else {
      EXPECT_EQ(operation.final_result(), OneOfEach::ExpectedResult(opcode))
          << operation.Describe();
    }
  }
}

// Each opcode is cancelled after `turns` turns, whether it is done by then or not: it completes
// once, as cancelled or with what it achieved.
void EachCancelledCompletesOnce(LoopRule& rule, int turns) {
  SCOPED_TRACE(absl::StrCat("cancelled after ", turns, " turns"));
  OneOfEach each(absl::StrCat(rule.temporary_directory(), "/cancelled", turns));
  ASSERT_NO_FATAL_FAILURE(RunOneOfEach(rule, each, [&](Loop& loop) {
    for (int turn = 0; turn < turns; ++turn) loop.Poll();
    for (RecordingOperation& operation : each.operations()) loop.Cancel(operation);
  }));
  for (const RecordingOperation& operation : each.operations()) {
    if (!operation.done() || operation.final_result() == -ECANCELED) continue;
    EXPECT_GE(operation.final_result(), 0) << operation.Describe();
  }
}

// What cannot succeed completes once as well, with the error.
void EachFailureCompletesOnce(LoopRule& rule) {
  const std::string nowhere = absl::StrCat(rule.temporary_directory(), "/nowhere/file");
  std::array<char, 8> buffer = {};
  RecordingOperation recv, send, accept, connect, open, unlink, mkdir, rename, read, stale;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  Listener gone;
  gone.Take().Reset();
  const Handle connector = AdoptOrFail(*loop, MakeTcpSocket());
  const Handle unconnected = AdoptOrFail(*loop, MakeTcpSocket());
  const Handle stream = AdoptOrFail(*loop, MakeSocketPair().ours);
  const Handle pipe = AdoptOrFail(*loop, MakePipeToRead().ours);
  const Handle closed = AdoptOrFail(*loop, MakePipeToRead().ours);
  loop->Close(closed);

  connect.PrepareConnect(connector, gone.address(), gone.address_length());
  recv.PrepareRecv(unconnected, absl::MakeSpan(buffer), 0);
  send.PrepareSend(unconnected, buffer, 0);
  accept.PrepareAccept(stream);
  open.PrepareOpenAt(kCurrentDirectory, nowhere.c_str(), 0, 0);
  unlink.PrepareUnlink(kCurrentDirectory, nowhere.c_str(), 0);
  mkdir.PrepareMkdir(kCurrentDirectory, nowhere.c_str(), 0700);
  rename.PrepareRename(kCurrentDirectory, nowhere.c_str(), kCurrentDirectory, nowhere.c_str(), 0);
  read.PrepareRead(pipe, absl::MakeSpan(buffer), 4096);
  stale.PreparePoll(closed, POLLIN);
  const std::array<RecordingOperation*, 10> all = {&recv,   &send,  &accept, &connect, &open,
                                                   &unlink, &mkdir, &rename, &read,    &stale};
  for (RecordingOperation* operation : all) loop->Submit(*operation);
  TurnUntil(*loop, [&] {
    return std::all_of(all.begin(), all.end(), [](auto* operation) { return operation->done(); });
  });
  Settle(*loop);
  for (const RecordingOperation* operation : all) {
    ASSERT_EQ(operation->finals(), 1)
        << "an operation that fails completes finally once; " << operation->Describe();
    EXPECT_LT(operation->final_result(), 0) << operation->Describe();
    EXPECT_NE(operation->final_result(), -ECANCELED) << operation->Describe();
  }
  EXPECT_EQ(connect.final_result(), -ECONNREFUSED) << connect.Describe();
  EXPECT_EQ(open.final_result(), -ENOENT) << open.Describe();
  EXPECT_EQ(read.final_result(), -ESPIPE) << read.Describe();
  EXPECT_EQ(stale.final_result(), -EBADF) << stale.Describe();
}

// An operation that is used again and again, and how often.
struct Reused {
  RecordingOperation operation;
  std::array<char, 32> buffer = {};
  int submissions = 0;
};

void SubmitSomething(LoopRule& rule, Loop& loop, Handle handle, Reused& reused) {
  switch (rule.random()() % 6) {
    case 0:
      reused.operation.PrepareNop();
      break;
    case 1:
      reused.operation.PrepareTimer(static_cast<int64_t>(rule.random()() % kMillisecondNs));
      break;
    case 2:
      reused.operation.PreparePoll(handle, POLLIN);
      break;
    case 3:
      reused.operation.PrepareSend(handle, reused.buffer, 0);
      break;
    case 4:
      reused.operation.PrepareWork([](void*) { return 0; }, nullptr);
      break;
    default:
      reused.operation.PrepareRecv(handle, absl::MakeSpan(reused.buffer), 0);
      break;
  }
  ++reused.submissions;
  loop.Submit(reused.operation);
}

// A random mixture of submissions, cancels, bytes of the peer and turns: in the end each operation
// has completed as often as it was submitted.
void MixtureCompletesOnceEach(LoopRule& rule) {
  constexpr int kSteps = 4'000;
  std::array<Reused, 48> pool;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  std::array<UniqueFd, 6> peers;
  std::array<Handle, 6> handles;
  for (size_t i = 0; i < peers.size(); ++i) {
    DescriptorPair pair = MakeSocketPair();
    peers[i] = std::move(pair.theirs);
    handles[i] = AdoptOrFail(*loop, std::move(pair.ours));
  }
  for (int step = 0; step < kSteps; ++step) {
    Reused& reused = pool[rule.random()() % pool.size()];
    const size_t which = rule.random()() % peers.size();
    const uint64_t choice = rule.random()() % 8;
    if (choice < 4 && reused.operation.idle()) {
      SubmitSomething(rule, *loop, handles[which], reused);
    } else if (choice < 6) {
      loop->Cancel(reused.operation);
    } else if (choice == 6) {
      ReadAvailable(peers[which].get());
      WriteAll(peers[which].get(), "0123456789");
    } else {
      loop->Poll();
    }
  }
  for (const Handle handle : handles) loop->Close(handle);
  TurnUntil(*loop, [&] { return loop->Stats().pending == 0; });
  Settle(*loop);
  for (const Reused& reused : pool) {
    EXPECT_EQ(reused.operation.finals(), reused.submissions)
        << "final completions of an operation that was submitted " << reused.submissions
        << " times; the last use was a " << OpcodeName(reused.operation.opcode());
  }
}

// ---- CMP-2 ----

// Small enough that a completion queue sized after it overflows many times.
constexpr LoopOptions kSmallQueue = {.queue_depth = 8};

// Many operations wait for one event, which completes all of them in one go.
void OneEventCompletesAll(LoopRule& rule) {
  constexpr size_t kCount = 5'000;
  std::vector<RecordingOperation> polls(kCount);
  RecordingOperation after;
  const Owned<Loop> loop = MakeLoop(rule, kSmallQueue);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (RecordingOperation& poll : polls) {
    poll.PreparePoll(handle, POLLIN);
    loop->Submit(poll);
  }
  const auto in_flight = [](const RecordingOperation& poll) {
    return poll.state() == OperationState::kInFlight;
  };
  // Turns without waiting: nothing is to complete here.
  for (size_t turn = 0; turn < kCount && loop->Stats().queued > 0; ++turn) loop->Poll();
  ASSERT_TRUE(std::all_of(polls.begin(), polls.end(), in_flight))
      << "not every operation is in flight before the event";

  WriteAll(pair.theirs.get(), "x");
  TurnUntil(*loop, [&] { return loop->Stats().pending == 0; });
  Settle(*loop);
  const auto complete = std::count_if(polls.begin(), polls.end(),
                                      [](const auto& poll) { return poll.finals() == 1; });
  ASSERT_EQ(static_cast<size_t>(complete), kCount)
      << "of " << kCount << " operations completed by one event, these have one completion";

  after.PreparePoll(handle, POLLIN);
  loop->Submit(after);
  EXPECT_TRUE(TurnUntilDone(*loop, {&after})) << "the loop hangs after a burst of completions";
}

// Many operations complete as they are started, more than any queue has room for.
void ReadyAtOnceCompletesAll(LoopRule& rule) {
  constexpr size_t kCount = 5'000;
  std::vector<RecordingOperation> polls(kCount);
  const Owned<Loop> loop = MakeLoop(rule, kSmallQueue);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (RecordingOperation& poll : polls) {
    poll.PreparePoll(handle, POLLOUT);
    loop->Submit(poll);
  }
  TurnUntil(*loop, [&] { return loop->Stats().pending == 0; });
  const auto complete = std::count_if(polls.begin(), polls.end(),
                                      [](const auto& poll) { return poll.finals() == 1; });
  ASSERT_EQ(static_cast<size_t>(complete), kCount)
      << "of " << kCount << " operations that complete as they start, these have one completion";
}

// Room for as many descriptors as the rule needs, until it goes out of scope.
class MoreDescriptors {
 public:
  MoreDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &saved_);
    rlimit raised = saved_;
    raised.rlim_cur = std::min<rlim_t>(saved_.rlim_max, 65'536);
    if (raised.rlim_cur > saved_.rlim_cur) ::setrlimit(RLIMIT_NOFILE, &raised);
  }
  ~MoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &saved_); }
  MoreDescriptors(const MoreDescriptors&) = delete;
  MoreDescriptors& operator=(const MoreDescriptors&) = delete;

 private:
  rlimit saved_ = {};
};

struct CounterRead {
  RecordingOperation operation;
  uint64_t value = 0;
  Handle handle;
};

// Many descriptors become ready between two turns, each with a result of its own.
void ManyDescriptorsCompleteAll(LoopRule& rule) {
  constexpr size_t kCount = 800;
  const MoreDescriptors more;
  std::vector<CounterRead> reads(kCount);
  const Owned<Loop> loop = MakeLoop(rule, kSmallQueue);
  ASSERT_NE(loop, nullptr);
  for (CounterRead& read : reads) {
    const int counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT_GE(counter, 0) << "eventfd";
    read.handle = AdoptOrFail(*loop, UniqueFd(counter));
    read.operation.PrepareRead(
        read.handle, absl::MakeSpan(reinterpret_cast<char*>(&read.value), sizeof(read.value)),
        kCurrentOffset);
    loop->Submit(read.operation);
  }
  for (size_t turn = 0; turn < kCount && loop->Stats().queued > 0; ++turn) loop->Poll();
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(reads[i].operation.state(), OperationState::kInFlight);
    const uint64_t value = i + 1;
    ASSERT_EQ(::write(loop->Descriptor(reads[i].handle), &value, sizeof(value)), 8);
  }
  TurnUntil(*loop, [&] { return loop->Stats().pending == 0; });
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(reads[i].operation.finals(), 1)
        << "of " << kCount << " descriptors ready at once, number " << i << ": "
        << reads[i].operation.Describe();
    EXPECT_EQ(reads[i].operation.final_result(), 8) << reads[i].operation.Describe();
    EXPECT_EQ(reads[i].value, i + 1) << "number " << i << " was given another one's bytes";
  }
}

// Blocking work ends on other threads while the loop does not turn.
void ManyWorksCompleteAll(LoopRule& rule) {
  constexpr size_t kCount = 2'000;
  std::vector<RecordingOperation> works(kCount);
  const Owned<Loop> loop = MakeLoop(rule, kSmallQueue);
  ASSERT_NE(loop, nullptr);
  for (RecordingOperation& work : works) {
    work.PrepareWork([](void*) { return 7; }, nullptr);
    loop->Submit(work);
  }
  TurnUntil(*loop, [&] { return loop->Stats().pending == 0; });
  for (const RecordingOperation& work : works) {
    ASSERT_EQ(work.finals(), 1) << work.Describe();
    ASSERT_EQ(work.final_result(), 7) << work.Describe();
  }
}

}  // namespace

void CMP_1(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(EachSucceedsOnce(rule));
  for (const int turns : {0, 1, 3}) {
    ASSERT_NO_FATAL_FAILURE(EachCancelledCompletesOnce(rule, turns));
  }
  ASSERT_NO_FATAL_FAILURE(EachFailureCompletesOnce(rule));
  ASSERT_NO_FATAL_FAILURE(MixtureCompletesOnceEach(rule));
}

void CMP_2(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(OneEventCompletesAll(rule));
  ASSERT_NO_FATAL_FAILURE(ReadyAtOnceCompletesAll(rule));
  ASSERT_NO_FATAL_FAILURE(ManyDescriptorsCompleteAll(rule));
  ASSERT_NO_FATAL_FAILURE(ManyWorksCompleteAll(rule));
}

}  // namespace tenon::conformance::loop_rules
