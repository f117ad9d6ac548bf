// What a cancelled operation had done: CAN-3.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr int kRounds = 60;

// When, after Submit, the event comes that lets an operation succeed, and when the cancel.
struct Timing {
  int turns_before_event = 0;
  int turns_before_cancel = 0;
};

// All of the near ones first, so that each is met, then random ones.
Timing TimingOf(LoopRule& rule, int round) {
  if (round < 9) return {.turns_before_event = round / 3, .turns_before_cancel = round % 3};
  return {.turns_before_event = static_cast<int>(rule.random()() % 4),
          .turns_before_cancel = static_cast<int>(rule.random()() % 4)};
}

void Turn(Loop& loop, int turns) {
  for (int i = 0; i < turns; ++i) loop.Poll();
}

// Submits, lets the event come, cancels, and waits for the final completion.
void RaceCancel(Loop& loop, RecordingOperation& operation, Timing timing,
                absl::FunctionRef<void()> event) {
  loop.Submit(operation);
  Turn(loop, timing.turns_before_event);
  event();
  Turn(loop, timing.turns_before_cancel);
  loop.Cancel(operation);
  ASSERT_TRUE(TurnUntilDone(loop, {&operation})) << operation.Describe();
  Settle(loop);
  ASSERT_EQ(operation.finals(), 1) << operation.Describe();
}

enum class Reading { kRecv, kRecvMsg, kRead };
enum class Writing { kSend, kSendMsg, kWrite };

constexpr std::array<const char*, 3> kReadingNames = {"Recv", "RecvMsg", "Read"};
constexpr std::array<const char*, 3> kWritingNames = {"Send", "SendMsg", "Write"};

// What a transfer needs besides its operation.
struct Transfer {
  std::string buffer;
  iovec vector = {};
  msghdr message = {};
  RecordingOperation operation;

  explicit Transfer(size_t size) : buffer(size, '\0') {}

  void PrepareMessage() {
    vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
  }
  void Prepare(Reading reading, Handle handle) {
    operation.Forget();
    PrepareMessage();
    if (reading == Reading::kRecv) operation.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    if (reading == Reading::kRecvMsg) operation.PrepareRecvMsg(handle, &message, 0);
    if (reading == Reading::kRead) {
      operation.PrepareRead(handle, absl::MakeSpan(buffer), kCurrentOffset);
    }
  }
  void Prepare(Writing writing, Handle handle) {
    operation.Forget();
    PrepareMessage();
    if (writing == Writing::kSend) operation.PrepareSend(handle, buffer, 0);
    if (writing == Writing::kSendMsg) operation.PrepareSendMsg(handle, &message, 0);
    if (writing == Writing::kWrite) operation.PrepareWrite(handle, buffer, kCurrentOffset);
  }
};

// Whatever a cancelled receive says: the bytes are either its result or still to be received.
void NoReceivedBytesAreLost(LoopRule& rule, Reading reading, DescriptorPair pair) {
  SCOPED_TRACE(kReadingNames[static_cast<size_t>(reading)]);
  const std::string sent = "bytes of the peer";
  Transfer transfer(64);
  const RecordingOperation& operation = transfer.operation;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const UniqueFd theirs = std::move(pair.theirs);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (int round = 0; round < kRounds; ++round) {
    const Timing timing = TimingOf(rule, round);
    SCOPED_TRACE(absl::StrCat(timing.turns_before_event, " turns before the bytes, ",
                              timing.turns_before_cancel, " more before the cancel"));
    transfer.Prepare(reading, handle);
    ASSERT_NO_FATAL_FAILURE(
        RaceCancel(*loop, transfer.operation, timing, [&] { WriteAll(theirs.get(), sent); }));
    std::string received;
    if (operation.final_result() > 0) {
      received = transfer.buffer.substr(0, static_cast<size_t>(operation.final_result()));
    } else {
      ASSERT_EQ(ResultText(operation.final_result()), ResultText(-ECANCELED));
      WaitFor(loop->Descriptor(handle), POLLIN, 1'000);
      received = ReadAvailable(loop->Descriptor(handle));
    }
    ASSERT_EQ(received, sent) << "bytes were taken by an operation that reports otherwise; "
                              << operation.Describe();
  }
}

// What a cancelled write reports is what its reader finds.
void SentBytesAreReported(LoopRule& rule, Writing writing, DescriptorPair pair) {
  SCOPED_TRACE(kWritingNames[static_cast<size_t>(writing)]);
  Transfer transfer(1 << 20);
  for (char& byte : transfer.buffer) byte = static_cast<char>(rule.random()());
  const RecordingOperation& operation = transfer.operation;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const UniqueFd theirs = std::move(pair.theirs);
  const int ours = pair.ours.get();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (int round = 0; round < kRounds; ++round) {
    const Timing timing = TimingOf(rule, round);
    SCOPED_TRACE(absl::StrCat(timing.turns_before_event, " turns before there is room, ",
                              timing.turns_before_cancel, " more before the cancel"));
    const size_t filled = FillUntilFull(ours);
    std::string arrived;
    transfer.Prepare(writing, handle);
    ASSERT_NO_FATAL_FAILURE(RaceCancel(*loop, transfer.operation, timing,
                                       [&] { arrived = ReadExactly(theirs.get(), filled); }));
    ASSERT_EQ(arrived.size(), filled);
    const int32_t result = operation.final_result();
    ASSERT_TRUE(result > 0 || result == -ECANCELED) << operation.Describe();
    arrived = result > 0 ? ReadExactly(theirs.get(), static_cast<size_t>(result)) : "";
    arrived += ReadAvailable(theirs.get());
    ASSERT_EQ(arrived.size(), static_cast<size_t>(std::max(result, 0)))
        << "bytes that arrived, of a write that reports " << ResultText(result);
    ASSERT_TRUE(transfer.buffer.compare(0, arrived.size(), arrived) == 0)
        << "other bytes arrived than were written";
  }
}

// Two operations become ready in one turn; the callback of the first cancels the second, which has
// its bytes by then.
void CancelFromAnothersCallback(LoopRule& rule) {
  std::array<Transfer, 2> transfers = {Transfer(16), Transfer(16)};
  Loop* running = nullptr;
  OperationState state = OperationState::kIdle;
  const auto cancel_other = [&](Transfer& other) {
    if (other.operation.idle()) return;
    state = other.operation.state();
    running->Cancel(other.operation);
  };
  transfers[0].operation.set_hook([&](RecordingOperation&) { cancel_other(transfers[1]); });
  transfers[1].operation.set_hook([&](RecordingOperation&) { cancel_other(transfers[0]); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  running = loop.get();
  std::array<DescriptorPair, 2> pairs = {MakeSocketPair(), MakeSocketPair()};
  std::array<Handle, 2> handles;
  for (size_t i = 0; i < 2; ++i) {
    handles[i] = AdoptOrFail(*loop, std::move(pairs[i].ours));
    transfers[i].Prepare(Reading::kRecv, handles[i]);
    loop->Submit(transfers[i].operation);
  }
  Settle(*loop);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(transfers[i].operation.state(), OperationState::kInFlight);
    WriteAll(pairs[i].theirs.get(), "12345");
  }
  ASSERT_TRUE(TurnUntilDone(*loop, {&transfers[0].operation, &transfers[1].operation}));
  ASSERT_NE(state, OperationState::kIdle) << "no callback cancelled the other operation";
  for (size_t i = 0; i < 2; ++i) {
    const int32_t result = transfers[i].operation.final_result();
    // Where the second was not finished yet, a cancel may come in time; its bytes then stay.
    if (state == OperationState::kInFlight && result == -ECANCELED) {
      EXPECT_EQ(ReadAvailable(loop->Descriptor(handles[i])), "12345") << "bytes are lost";
      continue;
    }
    EXPECT_EQ(ResultText(result), "5")
        << "the result of a Recv that had its bytes when it was cancelled";
  }
}

bool Exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

void AwaitPath(const std::string& path) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (!Exists(path) && absl::Now() < deadline) ::sched_yield();
}

// What made, moved or removed something says so; what reports a cancel has done nothing.
void EffectsOnPathsAreReported(LoopRule& rule) {
  constexpr int kPathRounds = 150;
  RecordingOperation mkdir, rename, unlink;
  std::string made, from, to, removed;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  int too_late = 0;
  for (int round = 0; round < kPathRounds; ++round) {
    const std::string base = absl::StrCat(rule.temporary_directory(), "/", round);
    made = absl::StrCat(base, "made");
    from = absl::StrCat(base, "from");
    to = absl::StrCat(base, "to");
    removed = absl::StrCat(base, "removed");
    for (const std::string& path : {from, removed}) {
      ASSERT_TRUE(UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).ok());
    }
    for (RecordingOperation* operation : {&mkdir, &rename, &unlink}) operation->Forget();
    mkdir.PrepareMkdir(kCurrentDirectory, made.c_str(), 0700);
    rename.PrepareRename(kCurrentDirectory, from.c_str(), kCurrentDirectory, to.c_str(), 0);
    unlink.PrepareUnlink(kCurrentDirectory, removed.c_str(), 0);
    for (RecordingOperation* operation : {&mkdir, &rename, &unlink}) loop->Submit(*operation);
    if (round % 2 == 0) {
      Turn(*loop, round % 3);
    } else {
      // Until the effect is there, without looking for completions.
      loop->Poll();
      AwaitPath(made);
    }
    const bool was_pending = !mkdir.idle();
    for (RecordingOperation* operation : {&mkdir, &rename, &unlink}) loop->Cancel(*operation);
    ASSERT_TRUE(TurnUntilDone(*loop, {&mkdir, &rename, &unlink}))
        << mkdir.Describe() << "; " << rename.Describe() << "; " << unlink.Describe();
    const auto reports = [](bool effect) { return ResultText(effect ? 0 : -ECANCELED); };
    ASSERT_EQ(ResultText(mkdir.final_result()), reports(Exists(made)))
        << "a cancelled Mkdir, as against what is in the file system";
    ASSERT_EQ(ResultText(rename.final_result()), reports(Exists(to)))
        << "a cancelled Rename, as against what is in the file system";
    ASSERT_EQ(Exists(from), !Exists(to));
    ASSERT_EQ(ResultText(unlink.final_result()), reports(!Exists(removed)))
        << "a cancelled Unlink, as against what is in the file system";
    if (was_pending && mkdir.final_result() == 0) ++too_late;
  }
  if (too_late == 0) rule.Inconclusive("no cancel of a Mkdir came after its effect");
}

}  // namespace

void CAN_3(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(NoReceivedBytesAreLost(rule, Reading::kRecv, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(NoReceivedBytesAreLost(rule, Reading::kRecv, MakeTcpPair()));
  ASSERT_NO_FATAL_FAILURE(
      NoReceivedBytesAreLost(rule, Reading::kRecvMsg, MakeSocketPair(SOCK_DGRAM)));
  ASSERT_NO_FATAL_FAILURE(NoReceivedBytesAreLost(rule, Reading::kRead, MakePipeToRead()));
  ASSERT_NO_FATAL_FAILURE(SentBytesAreReported(rule, Writing::kSend, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(SentBytesAreReported(rule, Writing::kSendMsg, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(SentBytesAreReported(rule, Writing::kWrite, MakePipeToWrite()));
  ASSERT_NO_FATAL_FAILURE(CancelFromAnothersCallback(rule));
  ASSERT_NO_FATAL_FAILURE(EffectsOnPathsAreReported(rule));
}

}  // namespace tenon::conformance::loop_rules
