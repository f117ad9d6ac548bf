// HDL-4 and HDL-5: Close, under pressure and with operations pending.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

constexpr std::string_view kBytes = "bytes";

// Handles by the dozen, each with a Recv pending, on a queue that holds one operation.
class CrowdedLoop {
 public:
  static constexpr size_t kHandles = 64;

  void Start(LoopRule& rule) {
    loop_ = MakeLoop(rule, {.max_handles = kHandles, .queue_depth = 1});
    ASSERT_NE(loop_, nullptr);
    for (size_t i = 0; i < kHandles; ++i) {
      DescriptorPair pair = MakeSocketPair();
      numbers_[i] = pair.ours.get();
      theirs_[i] = std::move(pair.theirs);
      handles_[i] = AdoptOrFail(*loop_, std::move(pair.ours));
      recvs_[i].PrepareRecv(handles_[i], absl::MakeSpan(&bytes_[i], 1), 0);
      loop_->Submit(recvs_[i]);
    }
    Settle(*loop_);
    // More than the queue holds, and no turn before what follows.
    for (size_t i = 0; i < kHandles; ++i) {
      polls_[i].PreparePoll(handles_[i], POLLPRI);
      loop_->Submit(polls_[i]);
    }
    EXPECT_GE(loop_->Stats().queued, kHandles) << "the queue is not full";
    EXPECT_EQ(loop_->Stats().pending, 2 * kHandles) << "not everything is pending";
  }

  void ExpectAllClosed(std::string_view when) {
    for (size_t i = 0; i < kHandles; ++i) {
      ASSERT_FALSE(IsOpen(numbers_[i]))
          << when << " descriptor " << i << " of " << kHandles << " is still open";
      ASSERT_NE(WaitFor(theirs_[i].get(), POLLIN, 0) & POLLHUP, 0)
          << when << " the peer of descriptor " << i << " sees no end";
      ASSERT_EQ(recvs_[i].finals(), 1) << when << " " << recvs_[i].Describe();
      ASSERT_EQ(polls_[i].finals(), 1) << when << " " << polls_[i].Describe();
      ASSERT_EQ(recvs_[i].final_result(), -ECANCELED) << when << " " << recvs_[i].Describe();
    }
  }

  Loop& loop() { return *loop_; }
  Handle handle(size_t i) const { return handles_[i]; }

 private:
  std::array<RecordingOperation, kHandles> recvs_;
  std::array<RecordingOperation, kHandles> polls_;
  std::array<char, kHandles> bytes_ = {};
  std::array<UniqueFd, kHandles> theirs_;
  std::array<int, kHandles> numbers_ = {};
  std::array<Handle, kHandles> handles_ = {};
  Owned<Loop> loop_;
};

void CloseWithoutMemory(LoopRule& rule) {
  CrowdedLoop crowded;
  ASSERT_NO_FATAL_FAILURE(crowded.Start(rule));
  rule.faults().FailFrom(1);
  for (size_t i = 0; i < CrowdedLoop::kHandles; ++i) {
    crowded.loop().Close(crowded.handle(i));
    EXPECT_EQ(crowded.loop().Descriptor(crowded.handle(i)), -1) << "the handle is not stale";
    // Twice is once.
    if (i % 2 == 0) crowded.loop().Close(crowded.handle(i));
  }
  TurnUntil(crowded.loop(), [&] { return crowded.loop().Stats().open_handles == 0; });
  EXPECT_EQ(rule.faults().requests(), 0u) << "Close asked the loop's allocator for memory";
  rule.faults().Clear();
  crowded.ExpectAllClosed("after a Close on a full queue");
}

void CloseJustBeforeDrain(LoopRule& rule, bool destroy) {
  auto crowded = std::make_unique<CrowdedLoop>();
  ASSERT_NO_FATAL_FAILURE(crowded->Start(rule));
  for (size_t i = 0; i < CrowdedLoop::kHandles; ++i) crowded->loop().Close(crowded->handle(i));
  if (!destroy) {
    EXPECT_TRUE(crowded->loop().Drain().ok());
    EXPECT_EQ(crowded->loop().Stats().open_handles, 0u) << "Drain returned before Close was done";
    crowded->ExpectAllClosed("after a Close and a Drain");
  }
}

// Close as an operation, and from callbacks, that of its own handle included.
void CloseInOtherWays(LoopRule& rule) {
  std::array<char, 8> buffer;
  RecordingOperation recv, close, again;
  const Owned<Loop> loop = MakeLoop(rule, {.queue_depth = 1});
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  int number = pair.ours.get();
  Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  close.PrepareClose(handle);
  loop->Submit(close);
  EXPECT_EQ(loop->Descriptor(handle), -1) << "a handle that an operation closes is not stale";
  again.PrepareClose(handle);
  loop->Submit(again);
  EXPECT_TRUE(TurnUntilDone(*loop, {&close, &again})) << "a Close operation does not complete";
  EXPECT_EQ(close.final_result(), 0) << close.Describe();
  EXPECT_EQ(again.final_result(), -EBADF) << "of a stale handle: " << again.Describe();
  EXPECT_FALSE(IsOpen(number)) << "a Close operation completed and left the descriptor open";

  pair = MakeSocketPair();
  number = pair.ours.get();
  handle = AdoptOrFail(*loop, std::move(pair.ours));
  recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
  recv.set_hook([&](RecordingOperation&) { loop->Close(handle); });
  loop->Submit(recv);
  WriteAll(pair.theirs.get(), kBytes);
  EXPECT_TRUE(TurnUntilDone(*loop, {&recv}));
  EXPECT_EQ(recv.final_result(), static_cast<int32_t>(kBytes.size())) << recv.Describe();
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !IsOpen(number); }))
      << "a Close from a callback on its own handle was lost";
}

// A handle that is closed with operations pending on it.
class ClosingHandle {
 public:
  explicit ClosingHandle(std::string_view name) : name_(name) {}

  void Adopt(Loop& loop, UniqueFd fd) {
    number_ = fd.get();
    identity_ = IdentityOf(number_);
    handle_ = AdoptOrFail(loop, std::move(fd));
  }
  Handle handle() const { return handle_; }
  absl::Span<char> buffer() { return absl::MakeSpan(buffers_.emplace_back()); }

  // An operation that must complete while the descriptor is still open.
  RecordingOperation& Add() {
    return operations_.emplace_back([this](RecordingOperation& operation) {
      EXPECT_EQ(IdentityOf(number_), identity_)
          << name_ << ": the descriptor was closed before " << OpcodeName(operation.opcode())
          << ", pending on it, had completed";
    });
  }

  // Submits what was added, and brings it to where it waits.
  void Begin(Loop& loop) {
    for (RecordingOperation& operation : operations_) loop.Submit(operation);
    Settle(loop);
    for (const RecordingOperation& operation : operations_) {
      EXPECT_FALSE(operation.idle()) << name_ << ": is not pending: " << operation.Describe();
    }
  }

  void CloseAndJudge(Loop& loop, bool by_operation) {
    RecordingOperation close([this](RecordingOperation&) {
      EXPECT_FALSE(IsOpen(number_))
          << name_ << ": Close completed before the descriptor was closed";
      EXPECT_TRUE(AllDone()) << name_ << ": Close completed before what was pending";
    });
    RecordingOperation late;
    if (by_operation) {
      close.PrepareClose(handle_);
      loop.Submit(close);
    } else {
      loop.Close(handle_);
    }
    late.PreparePoll(handle_, POLLIN);
    loop.Submit(late);
    const bool closed = TurnUntil(loop, [&] {
      return AllDone() && late.done() && !IsOpen(number_) && (!by_operation || close.done());
    });
    EXPECT_TRUE(AllDone()) << name_
                           << ": an operation pending at Close never completed: " << Undone();
    EXPECT_TRUE(closed) << name_ << ": Close did not close: " << late.Describe();
    Settle(loop);
    for (const RecordingOperation& operation : operations_) {
      EXPECT_EQ(operation.finals(), 1) << name_ << ": at Close: " << operation.Describe();
      EXPECT_EQ(operation.final_result(), -ECANCELED)
          << name_ << ": pending at Close, with nothing achieved: " << operation.Describe();
    }
    EXPECT_EQ(late.final_result(), -EBADF) << name_ << ": after Close: " << late.Describe();
    if (by_operation) {
      EXPECT_EQ(close.final_result(), 0) << close.Describe();
    }
  }

 private:
  bool AllDone() const {
    for (const RecordingOperation& operation : operations_) {
      if (!operation.done()) return false;
    }
    return true;
  }
  std::string Undone() const {
    std::string text;
    for (const RecordingOperation& operation : operations_) {
      if (!operation.done()) absl::StrAppend(&text, OpcodeName(operation.opcode()), " ");
    }
    return text;
  }

  const std::string name_;
  int number_ = -1;
  std::string identity_;
  Handle handle_;
  std::deque<std::array<char, 64>> buffers_;
  std::deque<RecordingOperation> operations_;
};

// What the cases below need beside their handle. Declared before the loop.
struct Scenery {
  std::vector<UniqueFd> others;
  std::vector<std::unique_ptr<Listener>> listeners;
  iovec vector = {};
  msghdr message = {};
};

// Reads wait for bytes, writes for room, each direction with more than one behind it.
void AddOnSocket(Loop& loop, ClosingHandle& closing, Scenery& scenery) {
  DescriptorPair pair = MakeTcpPair();
  FillUntilFull(pair.ours.get());
  closing.Adopt(loop, std::move(pair.ours));
  scenery.others.push_back(std::move(pair.theirs));
  const absl::Span<char> bytes = closing.buffer();
  scenery.vector = {.iov_base = bytes.data(), .iov_len = bytes.size()};
  scenery.message.msg_iov = &scenery.vector;
  scenery.message.msg_iovlen = 1;
  const Handle handle = closing.handle();
  closing.Add().PrepareRecv(handle, closing.buffer(), 0);
  closing.Add().PrepareRecv(handle, closing.buffer(), 0);
  closing.Add().PrepareRecvMsg(handle, &scenery.message, 0);
  closing.Add().PrepareRead(handle, closing.buffer(), kCurrentOffset);
  closing.Add().PrepareSend(handle, closing.buffer(), 0);
  closing.Add().PrepareSendMsg(handle, &scenery.message, 0);
  closing.Add().PrepareWrite(handle, closing.buffer(), kCurrentOffset);
  closing.Add().PrepareShutdown(handle, SHUT_WR);
  closing.Add().PreparePoll(handle, POLLIN);
  closing.Add().PreparePoll(handle, POLLOUT);
}

void AddOnListener(Loop& loop, ClosingHandle& closing, Scenery&) {
  Listener listener;
  closing.Adopt(loop, listener.Take());
  closing.Add().PrepareAccept(closing.handle());
  closing.Add().PrepareAccept(closing.handle());
  closing.Add().PreparePoll(closing.handle(), POLLIN);
}

void AddOnReadingPipe(Loop& loop, ClosingHandle& closing, Scenery& scenery) {
  DescriptorPair pipe = MakePipeToRead();
  DescriptorPair to = MakeSocketPair();
  closing.Adopt(loop, std::move(pipe.ours));
  const Handle target = AdoptOrFail(loop, std::move(to.ours));
  closing.Add().PrepareSplice(closing.handle(), kCurrentOffset, target, kCurrentOffset, 64, 0);
  closing.Add().PrepareRead(closing.handle(), closing.buffer(), kCurrentOffset);
  closing.Add().PrepareRead(closing.handle(), closing.buffer(), kCurrentOffset);
  closing.Add().PreparePoll(closing.handle(), POLLIN);
  scenery.others.push_back(std::move(pipe.theirs));
  scenery.others.push_back(std::move(to.theirs));
}

void AddOnWritingPipe(Loop& loop, ClosingHandle& closing, Scenery& scenery) {
  DescriptorPair pipe = MakePipeToWrite();
  DescriptorPair from = MakePipeToRead();
  FillUntilFull(pipe.ours.get());
  WriteAll(from.theirs.get(), kBytes);
  closing.Adopt(loop, std::move(pipe.ours));
  const Handle source = AdoptOrFail(loop, std::move(from.ours));
  // This handle is the second one of a Splice.
  closing.Add().PrepareSplice(source, kCurrentOffset, closing.handle(), kCurrentOffset, 64, 0);
  closing.Add().PrepareWrite(closing.handle(), closing.buffer(), kCurrentOffset);
  closing.Add().PrepareWrite(closing.handle(), closing.buffer(), kCurrentOffset);
  closing.Add().PreparePoll(closing.handle(), POLLOUT);
  scenery.others.push_back(std::move(pipe.theirs));
  scenery.others.push_back(std::move(from.theirs));
}

// A connection to a listener whose backlog is full is never answered.
void AddConnecting(Loop& loop, ClosingHandle& closing, Scenery& scenery) {
  scenery.listeners.push_back(std::make_unique<Listener>(0));
  const Listener& full = *scenery.listeners.back();
  scenery.others.push_back(full.Connect());
  closing.Adopt(loop, MakeTcpSocket());
  closing.Add().PrepareConnect(closing.handle(), full.address(), full.address_length());
  closing.Add().PrepareSend(closing.handle(), closing.buffer(), 0);
}

void AddMultishot(Loop& loop, ClosingHandle& closing, Scenery& scenery) {
  DescriptorPair pair = MakeSocketPair();
  closing.Adopt(loop, std::move(pair.ours));
  closing.Add().PrepareRecvMultishot(closing.handle(), 0);
  closing.Add().PrepareRecvPooled(closing.handle(), 0);
  scenery.others.push_back(std::move(pair.theirs));
}

using Adder = void (*)(Loop& loop, ClosingHandle& closing, Scenery& scenery);

void CloseWithPending(LoopRule& rule, std::string_view name, Adder add) {
  for (const bool by_operation : {false, true}) {
    SCOPED_TRACE(by_operation ? "by a Close operation" : "by Loop::Close");
    ClosingHandle closing(name);
    Scenery scenery;
    const Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    if (loop->capabilities().provided_buffers) {
      EXPECT_TRUE(loop->RegisterBuffers(4, 64).ok());
    }
    add(*loop, closing, scenery);
    closing.Begin(*loop);
    if (testing::Test::HasFailure()) return;
    closing.CloseAndJudge(*loop, by_operation);
    if (testing::Test::HasFailure()) return;
  }
}

// Bytes that came just before the Close are reported, or are where they were.
void CloseWithBytesArrived(LoopRule& rule) {
  std::array<char, 64> buffer;
  RecordingOperation recv;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeSocketPair();
  const int number = pair.ours.get();
  const UniqueFd duplicate(::fcntl(number, F_DUPFD_CLOEXEC, number + 1));
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
  loop->Submit(recv);
  Settle(*loop);
  EXPECT_FALSE(recv.idle()) << "is not pending: " << recv.Describe();
  WriteAll(pair.theirs.get(), kBytes);
  loop->Close(handle);
  EXPECT_TRUE(TurnUntilDone(*loop, {&recv})) << "a Recv pending at Close never completed";
  const std::string rest = ReadAvailable(duplicate.get());
  if (recv.final_result() == -ECANCELED) {
    EXPECT_EQ(rest, kBytes) << "a Recv cancelled by Close took bytes with it";
  } else {
    EXPECT_EQ(recv.final_result(), static_cast<int32_t>(kBytes.size())) << recv.Describe();
    EXPECT_EQ(rest, "") << "bytes were both delivered and left";
  }
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !IsOpen(number); })) << "Close did not close";
}

}  // namespace

void HDL_4(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(CloseWithoutMemory(rule));
  for (const bool destroy : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(CloseJustBeforeDrain(rule, destroy));
  }
  ASSERT_NO_FATAL_FAILURE(CloseInOtherWays(rule));
}

void HDL_5(LoopRule& rule) {
  struct Case {
    std::string_view name;
    Adder add;
  };
  for (const Case& scenario :
       {Case{"a TCP socket", &AddOnSocket}, Case{"a listener", &AddOnListener},
        Case{"a pipe to read", &AddOnReadingPipe}, Case{"a pipe to write", &AddOnWritingPipe},
        Case{"a socket that connects", &AddConnecting}}) {
    ASSERT_NO_FATAL_FAILURE(CloseWithPending(rule, scenario.name, scenario.add));
  }
  if (rule.Has("multishot") && rule.Has("provided_buffers")) {
    ASSERT_NO_FATAL_FAILURE(CloseWithPending(rule, "a socket with multishot", &AddMultishot));
  }
  ASSERT_NO_FATAL_FAILURE(CloseWithBytesArrived(rule));
}

}  // namespace tenon::conformance::loop_rules
