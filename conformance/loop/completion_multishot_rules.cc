// Operations that complete many times, and buffers that the loop lends: CMP-9, CMP-10.

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr uint32_t kBufferSize = 256;

// Keeps every buffer that its operation was lent until told to give it back.
class Borrower {
 public:
  Borrower() {
    operation_.set_hook([this](RecordingOperation&) { OnComplete(); });
  }

  void set_loop(Loop& loop) { loop_ = &loop; }
  // Whether to give buffers back in the callback, once their bytes have been read.
  void set_keeps(bool keeps) { keeps_ = keeps; }

  RecordingOperation& operation() { return operation_; }
  // The bytes received so far.
  const std::string& bytes() const { return bytes_; }
  const std::vector<uint16_t>& held() const { return held_; }
  // Buffers lent so far.
  int borrowed() const { return borrowed_; }
  bool wrong_flag() const { return wrong_flag_; }

  void GiveBackAll() {
    while (!held_.empty()) GiveBackOne();
  }
  void GiveBackOne() {
    loop_->ReturnBuffer(held_.back());
    held_.pop_back();
  }

 private:
  void OnComplete() {
    const int32_t result = operation_.result();
    if (operation_.has_buffer() != (result > 0)) wrong_flag_ = true;
    if (!operation_.has_buffer()) return;
    ++borrowed_;
    const uint16_t id = operation_.buffer_id();
    const absl::Span<char> buffer = loop_->Buffer(id);
    bytes_.append(buffer.data(), std::min(buffer.size(), static_cast<size_t>(std::max(result, 0))));
    held_.push_back(id);
    if (!keeps_) GiveBackAll();
  }

  Loop* loop_ = nullptr;
  bool keeps_ = false;
  RecordingOperation operation_;
  std::string bytes_;
  std::vector<uint16_t> held_;
  int borrowed_ = 0;
  bool wrong_flag_ = false;
};

std::string RandomLetters(LoopRule& rule, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>('a' + rule.random()() % 26);
  return bytes;
}

// ---- CMP-9 ----

// Connections come one after another and in a bunch; each is a completion flagged more, with a
// descriptor of its own. A cancel gives the one that is not.
void AcceptsUntilCancelled(LoopRule& rule) {
  constexpr int kConnections = 24;
  std::vector<UniqueFd> accepted;
  RecordingOperation accept([&accepted](RecordingOperation& operation) {
    if (operation.result() >= 0) accepted.emplace_back(operation.result());
  });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  Listener listener;
  const Handle handle = AdoptOrFail(*loop, listener.Take());
  accept.PrepareAcceptMultishot(handle);
  loop->Submit(accept);
  Settle(*loop);
  ASSERT_EQ(accept.state(), OperationState::kInFlight) << accept.Describe();
  std::vector<UniqueFd> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(listener.Connect());
    if (i >= kConnections / 2) continue;
    ASSERT_TRUE(TurnUntil(*loop, [&] { return accept.mores() > i || accept.done(); }))
        << "connection " << i << " is not accepted; " << accept.Describe();
  }
  TurnUntil(*loop, [&] { return accept.mores() >= kConnections || accept.done(); });
  ASSERT_EQ(accept.mores(), kConnections)
      << "connections accepted and flagged more; " << accept.Describe();
  ASSERT_FALSE(accept.done()) << "it ended by itself; " << accept.Describe();
  for (const UniqueFd& connection : accepted) WriteAll(connection.get(), "y");
  for (const UniqueFd& client : clients) EXPECT_EQ(ReadExactly(client.get(), 1), "y");

  loop->Cancel(accept);
  ASSERT_TRUE(TurnUntilDone(*loop, {&accept}))
      << "a cancelled multishot operation has no completion that is not flagged more; "
      << accept.Describe();
  Settle(*loop);
  EXPECT_EQ(accept.finals(), 1) << accept.Describe();
  EXPECT_EQ(accept.mores(), kConnections) << accept.Describe();
  EXPECT_EQ(ResultText(accept.results().back()), ResultText(-ECANCELED));
  EXPECT_TRUE(accept.idle());
}

// Messages come apart and together; the peer's end is the completion that is not flagged more.
void ReceivesUntilTheEnd(LoopRule& rule) {
  constexpr int kMessages = 40;
  Borrower borrower;
  RecordingOperation& recv = borrower.operation();
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  borrower.set_loop(*loop);
  // Enough for all of it: running out is another matter.
  ASSERT_TRUE(loop->RegisterBuffers(4 * kMessages, kBufferSize).ok());
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  recv.PrepareRecvMultishot(handle, 0);
  loop->Submit(recv);
  std::string sent;
  for (int i = 0; i < kMessages; ++i) {
    const std::string message = RandomLetters(rule, 1 + rule.random()() % kBufferSize);
    WriteAll(pair.theirs.get(), message);
    sent += message;
    if (rule.random()() % 2 == 0) continue;
    ASSERT_TRUE(TurnUntil(*loop, [&] { return borrower.bytes().size() >= sent.size(); }))
        << "bytes do not arrive; " << recv.Describe();
  }
  pair.theirs.Reset();
  ASSERT_TRUE(TurnUntilDone(*loop, {&recv}))
      << "the end of the stream gives no completion that is not flagged more; " << recv.Describe();
  Settle(*loop);
  EXPECT_EQ(recv.finals(), 1) << recv.Describe();
  EXPECT_EQ(ResultText(recv.results().back()), "0") << "the end of the stream";
  EXPECT_EQ(borrower.bytes(), sent);
  EXPECT_EQ(borrower.borrowed(), recv.mores()) << "each completion flagged more brings a buffer";
  EXPECT_TRUE(recv.idle());
}

// All buffers are lent: the operation ends, the bytes stay. With one buffer back and armed again it
// goes on, though the peer is silent.
void ResumesAfterExhaustion(LoopRule& rule) {
  constexpr uint32_t kBuffers = 4;
  constexpr size_t kBuffersOfBytes = 7;
  Borrower borrower;
  borrower.set_keeps(true);
  RecordingOperation& recv = borrower.operation();
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  borrower.set_loop(*loop);
  ASSERT_TRUE(loop->RegisterBuffers(kBuffers, kBufferSize).ok());
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  recv.PrepareRecvMultishot(handle, 0);
  loop->Submit(recv);
  const std::string sent = RandomLetters(rule, kBuffersOfBytes * kBufferSize);
  WriteAll(pair.theirs.get(), sent);
  ASSERT_TRUE(TurnUntilDone(*loop, {&recv}))
      << "without buffers there is no completion that is not flagged more; " << recv.Describe();
  ASSERT_EQ(recv.mores(), static_cast<int>(kBuffers)) << recv.Describe();
  ASSERT_EQ(ResultText(recv.results().back()), ResultText(-ENOBUFS));

  // Without a buffer the answer is the same, and loses nothing.
  recv.Forget();
  recv.PrepareRecvMultishot(handle, 0);
  loop->Submit(recv);
  ASSERT_TRUE(TurnUntilDone(*loop, {&recv})) << recv.Describe();
  ASSERT_EQ(ResultText(recv.results().back()), ResultText(-ENOBUFS));
  EXPECT_EQ(recv.mores(), 0) << recv.Describe();

  while (borrower.bytes().size() < sent.size()) {
    const size_t before = borrower.bytes().size();
    borrower.GiveBackOne();
    recv.Forget();
    recv.PrepareRecvMultishot(handle, 0);
    loop->Submit(recv);
    TurnUntil(*loop, [&] { return borrower.bytes().size() > before || recv.done(); });
    ASSERT_GT(borrower.bytes().size(), before)
        << "armed again after a buffer came back, it does not go on; " << recv.Describe();
    if (borrower.bytes().size() == sent.size()) break;
    ASSERT_TRUE(TurnUntilDone(*loop, {&recv})) << recv.Describe();
  }
  EXPECT_EQ(borrower.bytes(), sent);
  loop->Cancel(recv);
  ASSERT_TRUE(TurnUntil(*loop, [&] { return recv.idle(); })) << recv.Describe();
  EXPECT_EQ(recv.finals(), 1) << recv.Describe();
  borrower.GiveBackAll();
}

// Closing the handle ends it like a cancel.
void EndsWithItsHandle(LoopRule& rule) {
  RecordingOperation accept;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Handle handle = AdoptOrFail(*loop, Listener().Take());
  accept.PrepareAcceptMultishot(handle);
  loop->Submit(accept);
  Settle(*loop);
  ASSERT_EQ(accept.state(), OperationState::kInFlight) << accept.Describe();
  loop->Close(handle);
  ASSERT_TRUE(TurnUntilDone(*loop, {&accept}))
      << "closing its handle gives no completion that is not flagged more; " << accept.Describe();
  Settle(*loop);
  EXPECT_EQ(accept.finals(), 1) << accept.Describe();
  EXPECT_EQ(accept.mores(), 0) << accept.Describe();
}

// ---- CMP-10 ----

constexpr uint32_t kLendable = 8;

// A callback that ends its own operation, by cancelling it or closing its handle, still reads the
// completion that it was called for; the final one comes afterwards.
void KeepsWhatItsCallbackReads(LoopRule& rule, bool close) {
  SCOPED_TRACE(close ? "closing the listener" : "cancelling");
  Loop* running = nullptr;
  Handle handle;
  int32_t before = -1;
  int32_t after = -1;
  bool still_more = false;
  RecordingOperation accept([&](RecordingOperation& operation) {
    if (!operation.has_more()) return;
    before = operation.result();
    close ? running->Close(handle) : running->Cancel(operation);
    after = operation.result();
    still_more = operation.has_more();
    UniqueFd(before).Reset();
  });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  running = loop.get();
  Listener listener;
  handle = AdoptOrFail(*loop, listener.Take());
  accept.PrepareAcceptMultishot(handle);
  loop->Submit(accept);
  const UniqueFd client = listener.Connect();
  ASSERT_TRUE(TurnUntilDone(*loop, {&accept})) << accept.Describe();
  Settle(*loop);
  EXPECT_EQ(accept.mores(), 1) << accept.Describe();
  EXPECT_EQ(after, before) << "a completion changed under its callback";
  EXPECT_TRUE(still_more) << "a completion changed under its callback";
  EXPECT_EQ(accept.finals(), 1) << accept.Describe();
  EXPECT_EQ(ResultText(accept.final_result()), ResultText(-ECANCELED));
}

struct Lane {
  Borrower borrower;
  UniqueFd theirs;
  Handle handle;
  std::string sent;
};

using Lanes = std::array<Lane, kLendable + 1>;

void Open(Loop& loop, Lanes& lanes) {
  for (Lane& lane : lanes) {
    DescriptorPair pair = MakeSocketPair();
    lane.theirs = std::move(pair.theirs);
    lane.handle = AdoptOrFail(loop, std::move(pair.ours));
    lane.borrower.set_loop(loop);
  }
}

void Arm(Loop& loop, Lane& lane, bool multishot) {
  RecordingOperation& recv = lane.borrower.operation();
  if (multishot) {
    recv.PrepareRecvMultishot(lane.handle, 0);
  } else {
    recv.PrepareRecvPooled(lane.handle, 0);
  }
  loop.Submit(recv);
}

void SendTo(LoopRule& rule, Lane& lane) {
  const std::string message = RandomLetters(rule, 1 + rule.random()() % kBufferSize);
  WriteAll(lane.theirs.get(), message);
  lane.sent += message;
}

// Receives begin, get bytes and are cancelled in every order, at random.
void MixReceivesAndCancels(LoopRule& rule, Loop& loop, Lanes& lanes, int* cancelled) {
  constexpr int kSteps = 3'000;
  for (int step = 0; step < kSteps; ++step) {
    Lane& lane = lanes[rule.random()() % lanes.size()];
    RecordingOperation& recv = lane.borrower.operation();
    switch (rule.random()() % 5) {
      case 0:
        if (recv.idle()) Arm(loop, lane, rule.Has("multishot") && rule.random()() % 2 == 0);
        break;
      case 1:
        if (lane.sent.size() - lane.borrower.bytes().size() < 16 * kBufferSize) SendTo(rule, lane);
        break;
      case 2:
        if (recv.idle()) break;
        loop.Cancel(recv);
        ++*cancelled;
        break;
      default:
        loop.Poll();
        break;
    }
  }
  for (Lane& lane : lanes) loop.Cancel(lane.borrower.operation());
  ASSERT_TRUE(TurnUntil(loop, [&] { return loop.Stats().pending == 0; }))
      << "a cancelled receive does not end";
}

// Every buffer can be lent at the same time, to somebody else each, and one more cannot.
void AllCanBeLent(LoopRule& rule, Loop& loop, Lanes& lanes) {
  std::set<uint16_t> ids;
  for (Lane& lane : lanes) {
    Borrower& borrower = lane.borrower;
    borrower.set_keeps(true);
    borrower.operation().Forget();
    if (lane.sent.size() == borrower.bytes().size()) SendTo(rule, lane);
    Arm(loop, lane, false);
    ASSERT_TRUE(TurnUntilDone(loop, {&borrower.operation()})) << borrower.operation().Describe();
    if (ids.size() == kLendable) {
      EXPECT_EQ(ResultText(borrower.operation().final_result()), ResultText(-ENOBUFS))
          << "a buffer is lent twice";
      break;
    }
    ASSERT_EQ(borrower.held().size(), 1u)
        << "buffers were lost: only " << ids.size() << " of " << kLendable
        << " can be lent after cancels; " << borrower.operation().Describe();
    EXPECT_TRUE(ids.insert(borrower.held().front()).second) << "a buffer is lent twice";
  }
  EXPECT_EQ(loop.Stats().buffers_lent, kLendable);
}

}  // namespace

void CMP_9(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(AcceptsUntilCancelled(rule));
  ASSERT_NO_FATAL_FAILURE(EndsWithItsHandle(rule));
  if (!rule.Has("provided_buffers")) return;
  ASSERT_NO_FATAL_FAILURE(ReceivesUntilTheEnd(rule));
  ASSERT_NO_FATAL_FAILURE(ResumesAfterExhaustion(rule));
  for (const bool close : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(KeepsWhatItsCallbackReads(rule, close));
  }
}

void CMP_10(LoopRule& rule) {
  int cancelled = 0;
  Lanes lanes;
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  ASSERT_TRUE(loop->RegisterBuffers(kLendable, kBufferSize).ok());
  Open(*loop, lanes);
  ASSERT_NO_FATAL_FAILURE(MixReceivesAndCancels(rule, *loop, lanes, &cancelled));
  ASSERT_GT(cancelled, 0);
  EXPECT_EQ(loop->Stats().buffers_lent, 0u)
      << "buffers that did not come back, after every callback returned its own and " << cancelled
      << " receives were cancelled";
  for (const Lane& lane : lanes) {
    EXPECT_FALSE(lane.borrower.wrong_flag()) << "a buffer comes with bytes, and bytes in a buffer";
    EXPECT_EQ(lane.sent.compare(0, lane.borrower.bytes().size(), lane.borrower.bytes()), 0)
        << "other bytes were delivered than were sent";
  }
  ASSERT_NO_FATAL_FAILURE(AllCanBeLent(rule, *loop, lanes));

  const uint16_t lent = lanes[0].borrower.held().front();
  for (Lane& lane : lanes) lane.borrower.GiveBackAll();
  EXPECT_EQ(loop->Stats().buffers_lent, 0u) << "buffers that did not come back";
  // The pool itself is what a second return would damage; a forked child may not use the loop, so
  // the misuse is shown on a loop of the child's own.
  loop.reset();
  const ChildOutcome twice = RunInChild([&] {
    Borrower borrower;
    borrower.set_keeps(true);
    const Owned<Loop> own = MakeLoop(rule);
    borrower.set_loop(*own);
    if (!own->RegisterBuffers(kLendable, kBufferSize).ok()) return absl::InternalError("buffers");
    own->ReturnBuffer(lent);
    return absl::OkStatus();
  });
  EXPECT_EQ(twice.death, "SIGABRT")
      << "a buffer that is not lent is taken back; " << twice.Describe();
  EXPECT_THAT(twice.standard_error, testing::HasSubstr("not lent"));
}

}  // namespace tenon::conformance::loop_rules
