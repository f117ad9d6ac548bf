// SUB-2 and SUB-4: more operations than there is room for, on one queue and on one handle.

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

// Many writes on one handle, each with a record that says which it is.
class OrderedWrites {
 public:
  static constexpr size_t kWrites = 200;

  // `large` records do not fit into the socket at once, so that operations wait for room.
  OrderedWrites(DescriptorPair pair, bool large)
      : ours_(std::move(pair.ours)), theirs_(std::move(pair.theirs)), operations_(kWrites) {
    for (size_t i = 0; i < kWrites; ++i) {
      records_.push_back(absl::StrFormat("<%06d>", i));
      if (large) records_.back().append(8'000, static_cast<char>('a' + i % 26));
    }
  }

  void Adopt(Loop& loop) { handle_ = AdoptOrFail(loop, std::move(ours_)); }
  void Submit(Loop& loop, size_t i, bool is_socket) {
    if (is_socket) {
      operations_[i].PrepareSend(handle_, records_[i], 0);
    } else {
      operations_[i].PrepareWrite(handle_, records_[i], kCurrentOffset);
    }
    loop.Submit(operations_[i]);
  }

  // Takes what has arrived; returns whether all operations are done.
  bool Progress() {
    received_ += ReadAvailable(theirs_.get());
    for (const RecordingOperation& operation : operations_) {
      if (!operation.done()) return false;
    }
    return true;
  }

  void Judge(std::string_view what) {
    received_ += ReadAvailable(theirs_.get());
    std::string expected;
    for (size_t i = 0; i < kWrites; ++i) {
      ASSERT_EQ(operations_[i].finals(), 1)
          << what << ": write " << i << " of " << kWrites << " behind a full queue was dropped";
      ASSERT_GT(operations_[i].final_result(), 0) << what << ": " << operations_[i].Describe();
      // A short write is the writer's to continue; here the rest is never sent.
      expected += records_[i].substr(0, static_cast<size_t>(operations_[i].final_result()));
    }
    ASSERT_EQ(received_.size(), expected.size()) << what << ": bytes were lost or made up";
    const auto mismatch = std::mismatch(received_.begin(), received_.end(), expected.begin());
    const ptrdiff_t at = mismatch.first - received_.begin();
    EXPECT_TRUE(received_ == expected)
        << what << ": writes were reordered: at byte " << at << " arrived \""
        << received_.substr(static_cast<size_t>(at), 8) << "\" instead of \""
        << expected.substr(static_cast<size_t>(at), 8) << "\"";
  }

 private:
  UniqueFd ours_;
  UniqueFd theirs_;
  Handle handle_;
  std::vector<std::string> records_;
  std::vector<RecordingOperation> operations_;
  std::string received_;
};

// Many reads on one handle, of four bytes each.
class OrderedReads {
 public:
  static constexpr size_t kReads = 200;

  explicit OrderedReads(DescriptorPair pair)
      : ours_(std::move(pair.ours)), theirs_(std::move(pair.theirs)), operations_(kReads) {}

  void Adopt(Loop& loop) { handle_ = AdoptOrFail(loop, std::move(ours_)); }
  void Submit(Loop& loop, size_t i, bool is_socket) {
    if (is_socket) {
      operations_[i].PrepareRecv(handle_, absl::MakeSpan(buffers_[i]), MSG_WAITALL);
    } else {
      operations_[i].PrepareRead(handle_, absl::MakeSpan(buffers_[i]), kCurrentOffset);
    }
    loop.Submit(operations_[i]);
  }

  // Sends the next few records; returns whether all operations are done.
  bool Progress() {
    for (int burst = 0; burst < 7 && sent_ < kReads; ++burst, ++sent_) {
      WriteAll(theirs_.get(), absl::StrFormat("%04d", sent_));
    }
    for (const RecordingOperation& operation : operations_) {
      if (!operation.done()) return false;
    }
    return true;
  }

  void Judge(std::string_view what) {
    for (size_t i = 0; i < kReads; ++i) {
      ASSERT_EQ(operations_[i].finals(), 1)
          << what << ": read " << i << " of " << kReads << " behind a full queue was dropped";
      ASSERT_EQ(operations_[i].final_result(), 4) << what << ": " << operations_[i].Describe();
      ASSERT_EQ(std::string_view(buffers_[i].data(), 4), absl::StrFormat("%04d", i))
          << what << ": reads were reordered: of read " << i;
    }
  }

 private:
  UniqueFd ours_;
  UniqueFd theirs_;
  Handle handle_;
  size_t sent_ = 0;
  std::array<std::array<char, 4>, kReads> buffers_ = {};
  std::vector<RecordingOperation> operations_;
};

DescriptorPair WithSmallBuffers(DescriptorPair pair) {
  const int size = 4'096;
  EXPECT_EQ(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
  return pair;
}

// Several handles at once on a queue of `depth`, their operations interleaved.
void FillQueue(LoopRule& rule, uint32_t depth) {
  SCOPED_TRACE(absl::StrCat("queue_depth ", depth));
  OrderedWrites small(MakeSocketPair(), false), large(WithSmallBuffers(MakeSocketPair()), true),
      tcp(WithSmallBuffers(MakeTcpPair()), true), piped(MakePipeToWrite(), true);
  OrderedReads socket(MakeTcpPair()), pipe(MakePipeToRead());
  std::array<RecordingOperation, 500> nops;
  const Owned<Loop> loop = MakeLoop(rule, {.queue_depth = depth});
  ASSERT_NE(loop, nullptr);
  for (OrderedWrites* writes : {&small, &large, &tcp, &piped}) writes->Adopt(*loop);
  for (OrderedReads* reads : {&socket, &pipe}) reads->Adopt(*loop);

  rule.faults().FailFrom(1);
  static_assert(OrderedWrites::kWrites == OrderedReads::kReads);
  for (size_t i = 0; i < OrderedWrites::kWrites; ++i) {
    for (OrderedWrites* writes : {&small, &large, &tcp, &piped}) {
      writes->Submit(*loop, i, writes != &piped);
    }
    for (OrderedReads* reads : {&socket, &pipe}) reads->Submit(*loop, i, reads == &socket);
    // Now and then a turn in between, so that not everything comes in one batch.
    if (rule.random()() % 50 == 0) loop->Poll();
  }
  for (RecordingOperation& nop : nops) {
    nop.PrepareNop();
    loop->Submit(nop);
  }
  EXPECT_GT(loop->Stats().pending, nops.size()) << "nothing waits behind the queue";
  TurnUntil(*loop, [&] {
    bool done = true;
    for (OrderedWrites* writes : {&small, &large, &tcp, &piped}) done = writes->Progress() && done;
    for (OrderedReads* reads : {&socket, &pipe}) done = reads->Progress() && done;
    // Their progress is ours: there may be no event for the loop to wait for.
    loop->Wake();
    return done;
  });
  EXPECT_EQ(rule.faults().requests(), 0u) << "a full queue asked the loop's allocator for memory";
  rule.faults().Clear();
  for (RecordingOperation& nop : nops) ASSERT_EQ(nop.finals(), 1) << nop.Describe();
  ASSERT_NO_FATAL_FAILURE(small.Judge("small records on a socket"));
  ASSERT_NO_FATAL_FAILURE(large.Judge("large records on a socket"));
  ASSERT_NO_FATAL_FAILURE(tcp.Judge("large records on a TCP socket"));
  ASSERT_NO_FATAL_FAILURE(piped.Judge("large records on a pipe"));
  ASSERT_NO_FATAL_FAILURE(socket.Judge("records from a TCP socket"));
  ASSERT_NO_FATAL_FAILURE(pipe.Judge("records from a pipe"));
}

// Three reads on one handle, of which each waits for the one before it.
class ReadsInTurn {
 public:
  static constexpr size_t kReads = 3;

  // Submits by `prepare` and judges that each gets one of three messages.
  template <typename Prepare>
  void Run(LoopRule& rule, std::string_view what, DescriptorPair pair, Prepare prepare) {
    const Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
    for (size_t i = 0; i < kReads; ++i) {
      vectors_[i] = {.iov_base = buffers_[i].data(), .iov_len = buffers_[i].size()};
      messages_[i].msg_iov = &vectors_[i];
      messages_[i].msg_iovlen = 1;
      prepare(operations_[i], handle, absl::MakeSpan(buffers_[i]), &messages_[i]);
      loop->Submit(operations_[i]);
    }
    for (size_t i = 0; i < kReads; ++i) {
      Settle(*loop);
      for (size_t waiting = i; waiting < kReads; ++waiting) {
        EXPECT_EQ(operations_[waiting].finals(), 0)
            << what << ": of several pending at once, number " << waiting
            << " completed before its turn: " << operations_[waiting].Describe();
      }
      const std::string message = absl::StrCat("message ", i);
      WriteAll(pair.theirs.get(), message);
      EXPECT_TRUE(TurnUntilDone(*loop, {&operations_[i]}))
          << what << ": of several pending at once, number " << i << " got no message";
      if (testing::Test::HasFailure()) return;
      EXPECT_EQ(operations_[i].final_result(), static_cast<int32_t>(message.size()))
          << what << ": " << operations_[i].Describe();
      EXPECT_EQ(std::string_view(buffers_[i].data(), message.size()), message) << what;
    }
  }

 private:
  std::array<std::array<char, 64>, kReads> buffers_ = {};
  std::array<iovec, kReads> vectors_ = {};
  std::array<msghdr, kReads> messages_ = {};
  std::array<RecordingOperation, kReads> operations_;
};

void AcceptInTurn(LoopRule& rule) {
  Listener listener;
  std::array<RecordingOperation, 3> accepts;
  std::vector<UniqueFd> clients;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Handle handle = AdoptOrFail(*loop, listener.Take());
  for (RecordingOperation& accept : accepts) {
    accept.set_hook([](RecordingOperation& operation) { UniqueFd(operation.result()).Reset(); });
    accept.PrepareAccept(handle);
    loop->Submit(accept);
  }
  for (size_t i = 0; i < accepts.size(); ++i) {
    Settle(*loop);
    EXPECT_EQ(accepts[i].finals(), 0) << "without a connection: " << accepts[i].Describe();
    clients.push_back(listener.Connect());
    EXPECT_TRUE(TurnUntilDone(*loop, {&accepts[i]}))
        << "of several Accepts pending at once, number " << i << " got no connection";
    EXPECT_GE(accepts[i].final_result(), 0) << accepts[i].Describe();
  }
}

// Polls move nothing: all of them complete with one event, beside a read and a write.
void PollTogether(LoopRule& rule) {
  std::array<char, 64> buffer;
  RecordingOperation first, second, recv, send;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  first.PreparePoll(handle, POLLIN);
  second.PreparePoll(handle, POLLIN);
  recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
  send.PrepareSend(handle, "x", 0);
  for (RecordingOperation* operation : {&first, &second, &recv, &send}) loop->Submit(*operation);
  EXPECT_TRUE(TurnUntilDone(*loop, {&send})) << "a Send waits for a Recv";
  EXPECT_FALSE(first.done() || second.done() || recv.done()) << "completed without an event";
  WriteAll(pair.theirs.get(), "y");
  EXPECT_TRUE(TurnUntilDone(*loop, {&recv})) << "a Recv beside two Polls got nothing";
  // There were bytes to be read, though the Recv has them by now.
  EXPECT_TRUE(TurnUntilDone(*loop, {&first, &second}))
      << "of two Polls of one handle not both completed";
}

}  // namespace

void SUB_2(LoopRule& rule) {
  std::uniform_int_distribution<uint32_t> depth(2, 64);
  for (const uint32_t queue_depth : {1u, depth(rule.random()), depth(rule.random())}) {
    ASSERT_NO_FATAL_FAILURE(FillQueue(rule, queue_depth));
    if (testing::Test::HasFailure()) return;
  }
}

void SUB_4(LoopRule& rule) {
  const auto recv = [](Operation& operation, Handle handle, absl::Span<char> buffer, msghdr*) {
    operation.PrepareRecv(handle, buffer, 0);
  };
  const auto recv_message = [](Operation& operation, Handle handle, absl::Span<char>,
                               msghdr* message) { operation.PrepareRecvMsg(handle, message, 0); };
  const auto read = [](Operation& operation, Handle handle, absl::Span<char> buffer, msghdr*) {
    operation.PrepareRead(handle, buffer, kCurrentOffset);
  };
  ASSERT_NO_FATAL_FAILURE(ReadsInTurn().Run(rule, "Recv of TCP", MakeTcpPair(), recv));
  ASSERT_NO_FATAL_FAILURE(
      ReadsInTurn().Run(rule, "RecvMsg", MakeSocketPair(SOCK_DGRAM), recv_message));
  ASSERT_NO_FATAL_FAILURE(ReadsInTurn().Run(rule, "Read of a pipe", MakePipeToRead(), read));
  // Of different kinds, which are of one direction all the same.
  int count = 0;
  ASSERT_NO_FATAL_FAILURE(ReadsInTurn().Run(
      rule, "Recv, RecvMsg and Read", MakeSocketPair(),
      [&](Operation& operation, Handle handle, absl::Span<char> buffer, msghdr* message) {
        const int kind = count++;
        if (kind == 0) return recv(operation, handle, buffer, message);
        if (kind == 1) return recv_message(operation, handle, buffer, message);
        read(operation, handle, buffer, message);
      }));
  ASSERT_NO_FATAL_FAILURE(AcceptInTurn(rule));
  ASSERT_NO_FATAL_FAILURE(PollTogether(rule));
}

}  // namespace tenon::conformance::loop_rules
