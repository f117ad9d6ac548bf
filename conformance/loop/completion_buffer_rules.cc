// What happens to buffers: CMP-4, CMP-5.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task.h"
#include "tenon/core/task/transfer.h"

namespace tenon::conformance::loop_rules {
namespace {

std::string RandomBytes(LoopRule& rule, size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t random = rule.random()();
    bytes.append(reinterpret_cast<const char*>(&random), sizeof(random));
  }
  bytes.resize(size);
  return bytes;
}

// ---- CMP-4 ----

enum class Reading { kRecv, kRecvMsg, kRead };

struct Receive {
  explicit Receive(size_t size) : buffer(size, '\0') {}

  void Prepare(Reading reading, Handle handle) {
    switch (reading) {
      case Reading::kRecv:
        return operation.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
      case Reading::kRead:
        return operation.PrepareRead(handle, absl::MakeSpan(buffer), kCurrentOffset);
      case Reading::kRecvMsg:
        vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        return operation.PrepareRecvMsg(handle, &message, 0);
    }
  }

  std::string buffer;
  iovec vector = {};
  msghdr message = {};
  RecordingOperation operation;
};

// After each receive its buffer is painted over; what comes later goes into other buffers only.
void ReceiveBuffersStay(LoopRule& rule, Reading reading, DescriptorPair pair, const char* what) {
  SCOPED_TRACE(what);
  constexpr int kRounds = 20;
  constexpr size_t kBufferSize = 512;
  std::array<Receive, 2> receives = {Receive(kBufferSize), Receive(kBufferSize)};
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const UniqueFd theirs = std::move(pair.theirs);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  std::string painted;
  for (int round = 0; round < kRounds; ++round) {
    Receive& receive = receives[static_cast<size_t>(round) % 2];
    Receive& finished = receives[static_cast<size_t>(round + 1) % 2];
    receive.operation.Forget();
    receive.Prepare(reading, handle);
    loop->Submit(receive.operation);
    if (round % 3 == 0) {
      Settle(*loop);
      ASSERT_EQ(receive.operation.state(), OperationState::kInFlight)
          << "nothing was sent, and yet: " << receive.operation.Describe();
    }
    const std::string sent = RandomBytes(rule, 1 + rule.random()() % kBufferSize);
    WriteAll(theirs.get(), sent);
    ASSERT_TRUE(TurnUntilDone(*loop, {&receive.operation})) << receive.operation.Describe();
    ASSERT_EQ(receive.operation.final_result(), static_cast<int32_t>(sent.size()))
        << receive.operation.Describe();
    EXPECT_EQ(receive.buffer.substr(0, sent.size()), sent) << "other bytes than were sent";
    if (round > 0) {
      ASSERT_TRUE(finished.buffer == painted)
          << "a buffer was written to after its final completion";
    }
    painted = RandomBytes(rule, kBufferSize);
    receive.buffer = painted;
    Settle(*loop);
    ASSERT_TRUE(receive.buffer == painted) << "a buffer was written to after its final completion";
  }
}

// The same for a file, read at random offsets.
void FileBuffersStay(LoopRule& rule) {
  SCOPED_TRACE("Read of a file");
  constexpr size_t kBufferSize = 64 * 1024;
  const std::string path = absl::StrCat(rule.temporary_directory(), "/read");
  const std::string content = RandomBytes(rule, 4 * kBufferSize);
  std::string buffer(kBufferSize, '\0');
  RecordingOperation read;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  UniqueFd file(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.ok()) << "open of " << path;
  WriteAll(file.get(), content);
  const Handle handle = AdoptOrFail(*loop, std::move(file));
  for (int round = 0; round < 20; ++round) {
    const size_t offset = rule.random()() % (3 * kBufferSize);
    read.Forget();
    read.PrepareRead(handle, absl::MakeSpan(buffer), static_cast<int64_t>(offset));
    loop->Submit(read);
    ASSERT_TRUE(TurnUntilDone(*loop, {&read})) << read.Describe();
    ASSERT_EQ(read.final_result(), static_cast<int32_t>(kBufferSize)) << read.Describe();
    EXPECT_TRUE(content.compare(offset, kBufferSize, buffer) == 0) << "other bytes than the file's";
    const std::string painted = RandomBytes(rule, kBufferSize);
    buffer = painted;
    Settle(*loop);
    ASSERT_TRUE(buffer == painted) << "a buffer was written to after its final completion";
  }
}

// The address that Accept fills in is a buffer as well.
void AddressBuffersStay(LoopRule& rule) {
  SCOPED_TRACE("the address of an Accept");
  sockaddr_in address = {};
  socklen_t length = sizeof(address);
  RecordingOperation first([](RecordingOperation& op) { UniqueFd(op.result()).Reset(); });
  RecordingOperation second([](RecordingOperation& op) { UniqueFd(op.result()).Reset(); });
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  Listener listener;
  const Handle handle = AdoptOrFail(*loop, listener.Take());
  first.PrepareAccept(handle, reinterpret_cast<sockaddr*>(&address), &length);
  loop->Submit(first);
  const UniqueFd client = listener.Connect();
  ASSERT_TRUE(TurnUntilDone(*loop, {&first})) << first.Describe();
  ASSERT_GE(first.final_result(), 0) << first.Describe();
  EXPECT_EQ(address.sin_family, AF_INET) << "the address was not filled in";
  EXPECT_EQ(length, sizeof(address));

  address = {};
  length = 1;
  second.PrepareAccept(handle);
  loop->Submit(second);
  const UniqueFd other = listener.Connect();
  ASSERT_TRUE(TurnUntilDone(*loop, {&second})) << second.Describe();
  Settle(*loop);
  EXPECT_TRUE(address.sin_family == 0 && address.sin_port == 0 && length == 1)
      << "an Accept's address was written to after its final completion";
}

// ---- CMP-5 ----

enum class Writing { kSend, kSendMsg, kWrite };

// One write of a whole string.
struct Write {
  explicit Write(std::string text) : bytes(std::move(text)) {}

  void Submit(Writing writing, Loop& loop, Handle handle) {
    switch (writing) {
      case Writing::kSend:
        operation.PrepareSend(handle, bytes, 0);
        break;
      case Writing::kWrite:
        operation.PrepareWrite(handle, bytes, kCurrentOffset);
        break;
      case Writing::kSendMsg:
        // Parts, so that a short count may end within either.
        vectors[0] = {.iov_base = bytes.data(), .iov_len = 5'000};
        vectors[1] = {.iov_base = bytes.data() + 5'000, .iov_len = bytes.size() - 5'000};
        message.msg_iov = vectors.data();
        message.msg_iovlen = vectors.size();
        operation.PrepareSendMsg(handle, &message, 0);
        break;
    }
    loop.Submit(operation);
  }

  std::string bytes;
  std::array<iovec, 2> vectors = {};
  msghdr message = {};
  RecordingOperation operation;
};

Task<absl::Status> WriteRest(Loop& loop, Writing writing, Handle handle,
                             absl::Span<const char> rest) {
  if (writing == Writing::kWrite) co_return co_await tenon::WriteAll(loop, handle, rest);
  co_return co_await SendAll(loop, handle, rest);
}

// More than a pipe holds, and than a socket whose buffers were made small.
constexpr size_t kMuch = 2 << 20;

// Makes both buffers of a connection small. Pipes are small already.
DescriptorPair Narrow(DescriptorPair pair) {
  const int size = 64 << 10;
  EXPECT_EQ(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
  EXPECT_EQ(::setsockopt(pair.theirs.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
  return pair;
}

// A write of more than fits reports what was taken, to the byte. Nobody reads: what completes is
// what fitted. An implementation may also wait until everything did; `*is_short` then stays.
void ShortWriteIsReported(Loop& loop, Write& write, int reader, std::string* received,
                          bool* is_short) {
  Settle(loop);
  if (!write.operation.done()) {
    ASSERT_TRUE(TurnUntil(loop,
                          [&] {
                            *received += ReadAvailable(reader);
                            loop.Wake();
                            return write.operation.done();
                          }))
        << "a write does not complete though its reader reads; " << write.operation.Describe();
  }
  const int32_t result = write.operation.final_result();
  ASSERT_GT(result, 0) << "an error instead of a count: " << write.operation.Describe();
  const auto taken = static_cast<size_t>(result);
  if (received->empty()) {
    ASSERT_LT(taken, kMuch) << "a short write is reported as complete: nobody has read from "
                            << OpcodeName(write.operation.opcode()) << "'s other end";
    *is_short = true;
  }
  ASSERT_LE(received->size(), taken) << "a short write took more bytes than it reports";
  *received += ReadExactly(reader, taken - received->size());
  ASSERT_EQ(received->size(), taken) << "bytes that a short write reports as taken";
  Settle(loop);
  EXPECT_EQ(ReadAvailable(reader).size(), 0u) << "a short write took more bytes than it reports";
}

// Then WriteAll or SendAll brings over what is left.
void WriteAllFinishesIt(LoopRule& rule, Writing writing, DescriptorPair pair, const char* what,
                        bool* is_short) {
  SCOPED_TRACE(what);
  Write write(RandomBytes(rule, kMuch));
  std::string received;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const UniqueFd theirs = std::move(pair.theirs);
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  write.Submit(writing, *loop, handle);
  ASSERT_NO_FATAL_FAILURE(ShortWriteIsReported(*loop, write, theirs.get(), &received, is_short));

  const auto rest = absl::MakeConstSpan(write.bytes).subspan(received.size());
  TaskRoot<absl::Status> root(*loop, WriteRest(*loop, writing, handle, rest));
  root.Start();
  const auto read_along = [&] {
    received += ReadAvailable(theirs.get());
    // So that the turn does not wait for a reader that is this one.
    loop->Wake();
    return root.done();
  };
  if (!TurnUntil(*loop, read_along)) {
    ADD_FAILURE() << "WriteAll does not finish a short write: " << received.size() << " of "
                  << kMuch << " bytes arrived";
    root.RequestStop();
    ASSERT_TRUE(TurnUntil(*loop, [&] { return root.done(); }));
  }
  const absl::Status status = root.TakeResult();
  ASSERT_TRUE(status.ok()) << "WriteAll after a short write: " << status;
  received += ReadExactly(theirs.get(), kMuch - std::min(kMuch, received.size()));
  EXPECT_TRUE(received == write.bytes) << "the reader has other bytes than were written";
  EXPECT_EQ(ReadAvailable(theirs.get()).size(), 0u) << "bytes arrived twice";
}

}  // namespace

void CMP_4(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(
      ReceiveBuffersStay(rule, Reading::kRecv, MakeSocketPair(), "Recv of a local stream"));
  ASSERT_NO_FATAL_FAILURE(
      ReceiveBuffersStay(rule, Reading::kRecv, MakeTcpPair(), "Recv of a TCP stream"));
  ASSERT_NO_FATAL_FAILURE(
      ReceiveBuffersStay(rule, Reading::kRecvMsg, MakeSocketPair(SOCK_DGRAM), "RecvMsg"));
  ASSERT_NO_FATAL_FAILURE(
      ReceiveBuffersStay(rule, Reading::kRead, MakePipeToRead(), "Read of a pipe"));
  ASSERT_NO_FATAL_FAILURE(FileBuffersStay(rule));
  ASSERT_NO_FATAL_FAILURE(AddressBuffersStay(rule));
}

void CMP_5(LoopRule& rule) {
  bool is_short = false;
  ASSERT_NO_FATAL_FAILURE(WriteAllFinishesIt(rule, Writing::kSend, Narrow(MakeSocketPair()),
                                             "Send on a local stream", &is_short));
  ASSERT_NO_FATAL_FAILURE(WriteAllFinishesIt(rule, Writing::kSend, Narrow(MakeTcpPair()),
                                             "Send on a TCP stream", &is_short));
  ASSERT_NO_FATAL_FAILURE(WriteAllFinishesIt(rule, Writing::kSendMsg, Narrow(MakeTcpPair()),
                                             "SendMsg on a TCP stream", &is_short));
  ASSERT_NO_FATAL_FAILURE(
      WriteAllFinishesIt(rule, Writing::kWrite, MakePipeToWrite(), "Write to a pipe", &is_short));
  ASSERT_NO_FATAL_FAILURE(WriteAllFinishesIt(rule, Writing::kWrite, Narrow(MakeSocketPair()),
                                             "Write to a socket", &is_short));
  if (!is_short) rule.Inconclusive("no write was short: each waited for all of its bytes");
}

}  // namespace tenon::conformance::loop_rules
