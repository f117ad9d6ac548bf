// What a cancel leaves alone on its own handle: CAN-6.

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

// A receive, a send that waits for room, and a poll, all pending on one handle.
struct Busy {
  std::array<char, 64> received = {};
  std::string sent = "what our side sends";
  size_t filled = 0;
  RecordingOperation recv, send, poll;
  UniqueFd theirs;
  Handle handle;

  void Start(Loop& loop, DescriptorPair pair) {
    filled = FillUntilFull(pair.ours.get());
    theirs = std::move(pair.theirs);
    handle = AdoptOrFail(loop, std::move(pair.ours));
    recv.PrepareRecv(handle, absl::MakeSpan(received), 0);
    send.PrepareSend(handle, sent, 0);
    poll.PreparePoll(handle, POLLIN);
    for (RecordingOperation* operation : {&recv, &send, &poll}) loop.Submit(*operation);
    Settle(loop);
    for (const RecordingOperation* operation : {&recv, &send, &poll}) {
      ASSERT_EQ(operation->state(), OperationState::kInFlight) << operation->Describe();
    }
  }

  // Cancels one of the three; the others stay as they are.
  void CancelOnly(Loop& loop, RecordingOperation& cancelled) {
    loop.Cancel(cancelled);
    ASSERT_TRUE(TurnUntilDone(loop, {&cancelled})) << cancelled.Describe();
    ASSERT_EQ(ResultText(cancelled.final_result()), ResultText(-ECANCELED));
    Settle(loop);
    for (const RecordingOperation* other : {&recv, &send, &poll}) {
      if (other == &cancelled) continue;
      ASSERT_TRUE(other->state() == OperationState::kInFlight && !other->done())
          << "a cancel of " << OpcodeName(cancelled.opcode())
          << " disturbed another operation of the handle; " << other->Describe();
    }
  }
};

// What the peer sends arrives, in the receive that is pending or in a new one.
void ReceiveWorks(Loop& loop, Busy& busy) {
  const std::string bytes = "what their side sends";
  if (busy.recv.done()) {
    busy.recv.Forget();
    busy.recv.PrepareRecv(busy.handle, absl::MakeSpan(busy.received), 0);
    loop.Submit(busy.recv);
  }
  WriteAll(busy.theirs.get(), bytes);
  ASSERT_TRUE(TurnUntilDone(loop, {&busy.recv}))
      << "receiving no longer works; " << busy.recv.Describe();
  ASSERT_EQ(ResultText(busy.recv.final_result()), ResultText(static_cast<int32_t>(bytes.size())));
  EXPECT_EQ(std::string(busy.received.data(), bytes.size()), bytes);
}

// What is sent arrives once, behind what was in the way.
void SendWorks(Loop& loop, Busy& busy) {
  const bool again = busy.send.done();
  ReadExactly(busy.theirs.get(), busy.filled);
  if (again) {
    Settle(loop);
    EXPECT_EQ(ReadAvailable(busy.theirs.get()), "") << "a cancelled Send sent something";
    busy.send.Forget();
    busy.send.PrepareSend(busy.handle, busy.sent, 0);
    loop.Submit(busy.send);
  }
  ASSERT_TRUE(TurnUntilDone(loop, {&busy.send}))
      << "sending no longer works; " << busy.send.Describe();
  ASSERT_EQ(ResultText(busy.send.final_result()),
            ResultText(static_cast<int32_t>(busy.sent.size())));
  EXPECT_EQ(ReadExactly(busy.theirs.get(), busy.sent.size()), busy.sent);
}

// Bytes that nothing else is waiting for are seen by the poll that is pending, or by a new one.
void PollWorks(Loop& loop, Busy& busy) {
  // It may have seen those that the receive took, or found them gone.
  if (busy.poll.done()) {
    busy.poll.Forget();
    busy.poll.PreparePoll(busy.handle, POLLIN);
    loop.Submit(busy.poll);
    Settle(loop);
    ASSERT_FALSE(busy.poll.done()) << busy.poll.Describe();
  }
  WriteAll(busy.theirs.get(), "z");
  ASSERT_TRUE(TurnUntilDone(loop, {&busy.poll}))
      << "polling no longer works; " << busy.poll.Describe();
  EXPECT_EQ(busy.poll.final_result(), POLLIN) << busy.poll.Describe();
  EXPECT_EQ(ReadAvailable(loop.Descriptor(busy.handle)), "z");
}

// Each of the three is cancelled in turn; then all three work.
void OthersGoOn(LoopRule& rule, RecordingOperation Busy::*cancelled) {
  Busy busy;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ASSERT_NO_FATAL_FAILURE(busy.Start(*loop, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(busy.CancelOnly(*loop, busy.*cancelled));
  ASSERT_NO_FATAL_FAILURE(SendWorks(*loop, busy));
  ASSERT_NO_FATAL_FAILURE(ReceiveWorks(*loop, busy));
  ASSERT_NO_FATAL_FAILURE(PollWorks(*loop, busy));
}

// Cancelled and submitted again many times, with bytes that come in between: none is lost.
void NothingIsLostOverManyCancels(LoopRule& rule, DescriptorPair pair) {
  constexpr int kRounds = 300;
  std::array<char, 16> buffer = {};
  std::string received;
  std::string sent;
  RecordingOperation recv;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  for (int round = 0; round < kRounds; ++round) {
    recv.Forget();
    recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    loop->Submit(recv);
    if (rule.random()() % 2 == 0) loop->Poll();
    if (rule.random()() % 2 == 0) {
      sent.push_back(static_cast<char>('a' + round % 26));
      WriteAll(pair.theirs.get(), sent.substr(sent.size() - 1));
    }
    if (rule.random()() % 4 == 0) loop->Poll();
    loop->Cancel(recv);
    ASSERT_TRUE(TurnUntilDone(*loop, {&recv})) << recv.Describe();
    const int32_t result = recv.final_result();
    ASSERT_TRUE(result > 0 || result == -ECANCELED) << recv.Describe();
    if (result > 0) received.append(buffer.data(), static_cast<size_t>(result));
  }
  while (received.size() < sent.size()) {
    recv.Forget();
    recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
    loop->Submit(recv);
    ASSERT_TRUE(TurnUntilDone(*loop, {&recv}))
        << "after cancels only " << received.size() << " of " << sent.size() << " bytes arrive";
    ASSERT_GT(recv.final_result(), 0) << recv.Describe();
    received.append(buffer.data(), static_cast<size_t>(recv.final_result()));
  }
  EXPECT_EQ(received, sent);
}

// The next Accept gets the connection that the cancelled one did not.
void NextAcceptWorks(LoopRule& rule) {
  UniqueFd accepted;
  RecordingOperation accept(
      [&](RecordingOperation& operation) { accepted = UniqueFd(operation.result()); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  Listener listener;
  const Handle handle = AdoptOrFail(*loop, listener.Take());
  accept.PrepareAccept(handle);
  loop->Submit(accept);
  Settle(*loop);
  loop->Cancel(accept);
  ASSERT_TRUE(TurnUntilDone(*loop, {&accept})) << accept.Describe();
  ASSERT_EQ(ResultText(accept.final_result()), ResultText(-ECANCELED));
  const UniqueFd client = listener.Connect();
  accept.Forget();
  accept.PrepareAccept(handle);
  loop->Submit(accept);
  ASSERT_TRUE(TurnUntilDone(*loop, {&accept}))
      << "accepting no longer works; " << accept.Describe();
  ASSERT_GE(accept.final_result(), 0) << accept.Describe();
  WriteAll(accepted.get(), "hello");
  EXPECT_EQ(ReadExactly(client.get(), 5), "hello");
}

}  // namespace

void CAN_6(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(OthersGoOn(rule, &Busy::recv));
  ASSERT_NO_FATAL_FAILURE(OthersGoOn(rule, &Busy::send));
  ASSERT_NO_FATAL_FAILURE(OthersGoOn(rule, &Busy::poll));
  ASSERT_NO_FATAL_FAILURE(NothingIsLostOverManyCancels(rule, MakeSocketPair()));
  ASSERT_NO_FATAL_FAILURE(NothingIsLostOverManyCancels(rule, MakeTcpPair()));
  ASSERT_NO_FATAL_FAILURE(NextAcceptWorks(rule));
}

}  // namespace tenon::conformance::loop_rules
