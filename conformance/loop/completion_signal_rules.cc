// Signals: CMP-6, CMP-8.

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

// Counts a signal while it lives. A signal's handler has no context, hence the counter is the
// class's.
class SignalCounter {
 public:
  explicit SignalCounter(int signal) : signal_(signal) {
    count_.store(0);
    struct sigaction action = {};
    action.sa_handler = [](int) { count_.fetch_add(1, std::memory_order_relaxed); };
    sigemptyset(&action.sa_mask);
    // Without SA_RESTART: system calls are to be interrupted.
    EXPECT_EQ(::sigaction(signal_, &action, &saved_), 0) << "sigaction";
  }
  ~SignalCounter() { ::sigaction(signal_, &saved_, nullptr); }
  SignalCounter(const SignalCounter&) = delete;
  SignalCounter& operator=(const SignalCounter&) = delete;

  int count() const { return count_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<int> count_{0};

  const int signal_;
  struct sigaction saved_ = {};
};

// ---- CMP-6 ----

enum class Writer { kSend, kSendMsg, kWrite, kSplice };

constexpr std::array<const char*, 4> kWriterNames = {"Send", "SendMsg", "Write", "Splice"};

struct Write {
  // The splice's source: a pipe that has bytes.
  DescriptorPair source = MakePipeToRead();
  Handle source_handle;
  std::string bytes = std::string(4096, 'x');
  iovec vector = {.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message = {};
  RecordingOperation operation;

  void Submit(Writer writer, Loop& loop, Handle handle) {
    operation.Forget();
    switch (writer) {
      case Writer::kSend:
        operation.PrepareSend(handle, bytes, 0);
        break;
      case Writer::kSendMsg:
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        operation.PrepareSendMsg(handle, &message, 0);
        break;
      case Writer::kWrite:
        operation.PrepareWrite(handle, bytes, kCurrentOffset);
        break;
      case Writer::kSplice:
        if (source.ours.ok()) source_handle = AdoptOrFail(loop, std::move(source.ours));
        WriteAll(source.theirs.get(), "spliced");
        operation.PrepareSplice(source_handle, kCurrentOffset, handle, kCurrentOffset, 4096, 0);
        break;
    }
    loop.Submit(operation);
  }
};

bool SaysPeerIsGone(int32_t result) { return result == -EPIPE || result == -ECONNRESET; }

// Writes until an error comes: the kernel takes the first bytes after a TCP peer's close.
void WritesAfterCloseFail(LoopRule& rule, Writer writer, DescriptorPair pair, const char* what) {
  SCOPED_TRACE(absl::StrCat(kWriterNames[static_cast<size_t>(writer)], " to ", what,
                            " whose other end was closed before"));
  constexpr int kMaxWrites = 16;
  const SignalCounter sigpipe(SIGPIPE);
  Write write;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  pair.theirs.Reset();
  for (int i = 0; i < kMaxWrites; ++i) {
    write.Submit(writer, *loop, handle);
    ASSERT_TRUE(TurnUntilDone(*loop, {&write.operation})) << write.operation.Describe();
    ASSERT_EQ(sigpipe.count(), 0) << "SIGPIPE was raised; " << write.operation.Describe();
    if (write.operation.final_result() < 0) break;
    // The kernel has taken bytes for a peer that is gone; its reset is on the way.
    WaitFor(loop->Descriptor(handle), 0);
  }
  EXPECT_TRUE(SaysPeerIsGone(write.operation.final_result()))
      << "a write to a peer that has closed is EPIPE or ECONNRESET; " << write.operation.Describe();
}

// A write waits for room when the peer goes.
void PendingWriteFails(LoopRule& rule, Writer writer, DescriptorPair pair, const char* what) {
  SCOPED_TRACE(absl::StrCat(kWriterNames[static_cast<size_t>(writer)], " pending on ", what,
                            " when its other end is closed"));
  const SignalCounter sigpipe(SIGPIPE);
  Write write;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  FillUntilFull(pair.ours.get());
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  write.Submit(writer, *loop, handle);
  Settle(*loop);
  ASSERT_EQ(write.operation.state(), OperationState::kInFlight)
      << "there is no room, and yet: " << write.operation.Describe();
  pair.theirs.Reset();
  ASSERT_TRUE(TurnUntilDone(*loop, {&write.operation})) << write.operation.Describe();
  EXPECT_EQ(sigpipe.count(), 0) << "SIGPIPE was raised; " << write.operation.Describe();
  EXPECT_TRUE(SaysPeerIsGone(write.operation.final_result()))
      << "a write to a peer that has closed is EPIPE or ECONNRESET; " << write.operation.Describe();
}

// Writing after our own shutdown is the same to the kernel.
void WriteAfterShutdownFails(LoopRule& rule, Writer writer) {
  SCOPED_TRACE(absl::StrCat(kWriterNames[static_cast<size_t>(writer)], " after Shutdown"));
  const SignalCounter sigpipe(SIGPIPE);
  Write write;
  RecordingOperation shutdown;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair pair = MakeTcpPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  shutdown.PrepareShutdown(handle, SHUT_WR);
  loop->Submit(shutdown);
  ASSERT_TRUE(TurnUntilDone(*loop, {&shutdown})) << shutdown.Describe();
  ASSERT_EQ(shutdown.final_result(), 0) << shutdown.Describe();
  write.Submit(writer, *loop, handle);
  ASSERT_TRUE(TurnUntilDone(*loop, {&write.operation})) << write.operation.Describe();
  EXPECT_EQ(sigpipe.count(), 0) << "SIGPIPE was raised; " << write.operation.Describe();
  EXPECT_EQ(write.operation.final_result(), -EPIPE) << write.operation.Describe();
}

// ---- CMP-8 ----

// Interrupts the calling thread again and again while it lives, at a pace at which even an
// instrumented program gets on between two signals.
class Interrupter {
 public:
  Interrupter() {
    constexpr int64_t kPeriodNs = 100 * kMicrosecondNs;
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = ::gettid();  // glibc 2.36 has no other name for it
    EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0) << "timer_create";
    itimerspec period = {};
    period.it_interval.tv_nsec = kPeriodNs;
    period.it_value.tv_nsec = kPeriodNs;
    EXPECT_EQ(::timer_settime(timer_, 0, &period, nullptr), 0) << "timer_settime";
  }
  ~Interrupter() { ::timer_delete(timer_); }
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;

 private:
  timer_t timer_ = {};
};

// A connection of the loop, made before signals come: they interrupt plain system calls.
struct Exchange {
  explicit Exchange(DescriptorPair pair)
      : theirs(std::move(pair.theirs)), ours(std::move(pair.ours)) {}

  UniqueFd theirs;
  UniqueFd ours;
  Handle handle;
  std::string sent;
  std::array<char, 64> received = {};
  RecordingOperation reader;
  RecordingOperation writer;
};

// A receive that waits, bytes of the peer, and bytes to the peer.
void ExchangeOnce(LoopRule& rule, Loop& loop, Exchange& exchange) {
  exchange.sent.assign(1 + rule.random()() % exchange.received.size(), 'r');
  exchange.reader.Forget();
  exchange.reader.PrepareRecv(exchange.handle, absl::MakeSpan(exchange.received), 0);
  loop.Submit(exchange.reader);
  // A turn that waits, and is interrupted, before there is anything to receive.
  loop.RunOnce(loop.Now() + 100 * kMicrosecondNs);
  ASSERT_FALSE(exchange.reader.done())
      << "a signal completed an operation; " << exchange.reader.Describe();
  WriteAll(exchange.theirs.get(), exchange.sent);
  exchange.writer.Forget();
  exchange.writer.PrepareSend(exchange.handle, exchange.sent, 0);
  loop.Submit(exchange.writer);
  ASSERT_TRUE(TurnUntilDone(loop, {&exchange.reader, &exchange.writer}))
      << exchange.reader.Describe() << "; " << exchange.writer.Describe();
  const std::string size = ResultText(static_cast<int32_t>(exchange.sent.size()));
  ASSERT_EQ(ResultText(exchange.reader.final_result()), size);
  ASSERT_EQ(ResultText(exchange.writer.final_result()), size);
  EXPECT_EQ(ReadExactly(exchange.theirs.get(), exchange.sent.size()), exchange.sent);
}

// Timers, blocking work, files and connections.
struct Others {
  static void TakeDescriptor(RecordingOperation& operation) {
    UniqueFd(operation.result()).Reset();
  }

  Listener listener;
  Handle listening;
  std::string path;
  RecordingOperation timer, work, connect;
  RecordingOperation open{&TakeDescriptor}, accept{&TakeDescriptor};

  void RunOnce(LoopRule& rule, Loop& loop, int round) {
    path = absl::StrCat(rule.temporary_directory(), "/", round);
    for (RecordingOperation* operation : {&timer, &work, &open, &accept, &connect}) {
      operation->Forget();
    }
    timer.PrepareTimer(200 * kMicrosecondNs);
    work.PrepareWork([](void*) { return 5; }, nullptr);
    open.PrepareOpenAt(kCurrentDirectory, path.c_str(), O_CREAT | O_RDWR, 0600);
    accept.PrepareAccept(listening);
    const Handle socket = AdoptOrFail(loop, MakeTcpSocket());
    connect.PrepareConnect(socket, listener.address(), listener.address_length());
    for (RecordingOperation* operation : {&timer, &work, &open, &accept, &connect}) {
      loop.Submit(*operation);
    }
    ASSERT_TRUE(TurnUntilDone(loop, {&timer, &work, &open, &accept, &connect}))
        << "an operation hangs under signals";
    loop.Close(socket);
    ASSERT_EQ(ResultText(timer.final_result()), "0") << timer.Describe();
    ASSERT_EQ(ResultText(work.final_result()), "5") << work.Describe();
    ASSERT_EQ(ResultText(connect.final_result()), "0") << connect.Describe();
    ASSERT_GE(open.final_result(), 0) << open.Describe();
    ASSERT_GE(accept.final_result(), 0) << accept.Describe();
  }
};

}  // namespace

void CMP_6(LoopRule& rule) {
  const std::array<Writer, 4> all = {Writer::kSend, Writer::kSendMsg, Writer::kWrite,
                                     Writer::kSplice};
  for (const Writer writer : all) {
    ASSERT_NO_FATAL_FAILURE(WritesAfterCloseFail(rule, writer, MakeSocketPair(), "a local stream"));
    ASSERT_NO_FATAL_FAILURE(WritesAfterCloseFail(rule, writer, MakeTcpPair(), "a TCP stream"));
    ASSERT_NO_FATAL_FAILURE(PendingWriteFails(rule, writer, MakeSocketPair(), "a local stream"));
    ASSERT_NO_FATAL_FAILURE(WriteAfterShutdownFails(rule, writer));
  }
  for (const Writer writer : {Writer::kWrite, Writer::kSplice}) {
    ASSERT_NO_FATAL_FAILURE(WritesAfterCloseFail(rule, writer, MakePipeToWrite(), "a pipe"));
    ASSERT_NO_FATAL_FAILURE(PendingWriteFails(rule, writer, MakePipeToWrite(), "a pipe"));
  }
}

void CMP_8(LoopRule& rule) {
  constexpr int kRounds = 200;
  constexpr int kMaxRounds = 2'000;
  constexpr int kMinSignals = 200;
  const SignalCounter signals(SIGUSR1);
  std::array<Exchange, 2> exchanges = {Exchange(MakeSocketPair()), Exchange(MakeTcpPair())};
  Others others;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  for (Exchange& exchange : exchanges) {
    exchange.handle = AdoptOrFail(*loop, std::move(exchange.ours));
  }
  others.listening = AdoptOrFail(*loop, others.listener.Take());
  const Interrupter interrupter;
  const auto enough = [&](int round) {
    return round >= kRounds && (signals.count() >= kMinSignals || round >= kMaxRounds);
  };
  for (int round = 0; !enough(round); ++round) {
    for (Exchange& exchange : exchanges) {
      ASSERT_NO_FATAL_FAILURE(ExchangeOnce(rule, *loop, exchange));
    }
    if (round % 4 != 0) continue;
    ASSERT_NO_FATAL_FAILURE(others.RunOnce(rule, *loop, round));
  }
  if (signals.count() < kMinSignals) {
    rule.Inconclusive(absl::StrCat("only ", signals.count(), " signals came"));
  }
}

}  // namespace tenon::conformance::loop_rules
