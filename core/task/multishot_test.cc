#include "tenon/core/task/multishot.h"

#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/task_fixture.h"

namespace tenon {
namespace {

class MultishotTest : public TaskTest {
 public:
  MultishotTest() {
    CHECK_OK(loop().RegisterBuffers(kBuffers, kBufferSize));
    loop_bytes_ = counting_.Stats().live_bytes;
    listener_ = MakeListener(&address_, &address_length_, 256);
  }

  UniqueFd ConnectClient() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    PCHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), address_length_) == 0);
    return fd;
  }

  static constexpr uint32_t kBuffers = 32;
  static constexpr uint32_t kBufferSize = 64;
  Handle listener_;
  sockaddr_storage address_ = {};
  socklen_t address_length_ = 0;
};

TEST_F(MultishotTest, ConnectionsComeFromOneOperation) {
  const auto body = [](MultishotTest& test) -> Task<> {
    std::vector<UniqueFd> clients;
    AcceptStream connections(test.loop(), test.listener_);
    for (int i = 0; i < 10; ++i) {
      clients.push_back(test.ConnectClient());
      absl::StatusOr<UniqueFd> connection = co_await connections.Next();
      if (!connection.ok()) co_return connection.status();
      EXPECT_EQ(::send(connection->get(), "x", 1, 0), 1);
      char byte = 0;
      EXPECT_EQ(::recv(clients.back().get(), &byte, 1, 0), 1);
    }
    co_await connections.Stop();
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(*this)), absl::OkStatus());
  EXPECT_EQ(loop().Stats().submitted[static_cast<size_t>(Opcode::kAccept)], 1u);
}

TEST_F(MultishotTest, ConnectionsThatNobodyTakesAreStoredUpToABoundAndClosed) {
  const auto body = [](MultishotTest& test) -> Task<> {
    std::vector<UniqueFd> clients;
    AcceptStream connections(test.loop(), test.listener_);
    clients.push_back(test.ConnectClient());
    absl::StatusOr<UniqueFd> first = co_await connections.Next();
    if (!first.ok()) co_return first.status();
    for (size_t i = 0; i < 2 * AcceptStream::kCapacity; ++i) {
      clients.push_back(test.ConnectClient());
    }
    // Accepted while nobody takes them, until the bound pauses it.
    for (int i = 0; test.loop().Stats().pending > 0 && i < 10'000; ++i) {
      if (absl::Status status = co_await Nop(test.loop()); !status.ok()) co_return status;
    }
    EXPECT_EQ(test.loop().Stats().pending, 0u) << "accepting goes on beyond the bound";
    for (size_t i = 0; i < AcceptStream::kCapacity; ++i) {
      if (absl::Status status = (co_await connections.Next()).status(); !status.ok()) {
        co_return status;
      }
    }
    // Accepting goes on.
    if (absl::Status status = (co_await connections.Next()).status(); !status.ok()) {
      co_return status;
    }
    co_await connections.Stop();
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(*this)), absl::OkStatus());
}

// Reads to the end of the stream.
Task<absl::StatusOr<std::string>> ReadAll(Loop& loop, Handle socket, bool slowly) {
  std::string text;
  RecvStream chunks(loop, socket);
  while (true) {
    absl::StatusOr<PooledBuffer> chunk = co_await chunks.Next();
    if (!chunk.ok()) co_return chunk.status();
    if (chunk->empty()) break;
    text.append(chunk->bytes().data(), chunk->size());
    chunk->Reset();
    if (!slowly) continue;
    for (int i = 0; i < 8; ++i) {
      if (absl::Status status = co_await Nop(loop); !status.ok()) {
        co_await chunks.Stop();
        co_return status;
      }
    }
  }
  absl::StatusOr<PooledBuffer> again = co_await chunks.Next();
  EXPECT_TRUE(again.ok() && again->empty()) << "the end of the stream does not last";
  co_return text;
}

TEST_F(MultishotTest, BytesArriveCompleteAndInOrderHoweverSlowTheyAreTaken) {
  std::string text;
  for (int i = 0; text.size() < 20 * kBufferSize; ++i) text += std::to_string(i) + " ";
  for (const bool slowly : {false, true}) {
    HandleAndFd pair = MakeSocket();
    ASSERT_EQ(::send(pair.fd.get(), text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
    pair.fd.Reset();
    const absl::StatusOr<std::string> received =
        RunToCompletion(loop(), ReadAll(loop(), pair.handle, slowly));
    ASSERT_EQ(received.status(), absl::OkStatus());
    EXPECT_EQ(*received, text);
    EXPECT_EQ(loop().Stats().buffers_lent, 0u);
  }
}

TEST_F(MultishotTest, GoesOnWhenBuffersComeBack) {
  const auto body = [](MultishotTest& test) -> Task<> {
    HandleAndFd pair = test.MakeSocket();
    RecvStream chunks(test.loop(), pair.handle);
    std::vector<PooledBuffer> held;
    absl::Status status;
    const std::string text(2 * kBuffers * kBufferSize, 'x');
    EXPECT_EQ(::send(pair.fd.get(), text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
    while (status.ok()) {
      absl::StatusOr<PooledBuffer> chunk = co_await chunks.Next();
      status = chunk.status();
      if (chunk.ok()) held.push_back(*std::move(chunk));
    }
    EXPECT_EQ(status, absl::ResourceExhaustedError(""));
    EXPECT_EQ(held.size(), kBuffers);
    held.clear();
    absl::StatusOr<PooledBuffer> chunk = co_await chunks.Next();
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    co_await chunks.Stop();
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(*this)), absl::OkStatus());
  EXPECT_EQ(loop().Stats().buffers_lent, 0u);
}

TEST_F(MultishotTest, AStopBetweenTwoNextsEndsTheOperation) {
  const auto body = [](MultishotTest& test) -> Task<> {
    HandleAndFd pair = test.MakeSocket();
    RecvStream chunks(test.loop(), pair.handle);
    EXPECT_EQ(::send(pair.fd.get(), "abc", 3, 0), 3);
    absl::StatusOr<PooledBuffer> chunk = co_await chunks.Next();
    EXPECT_TRUE(chunk.ok());
    EXPECT_TRUE(absl::IsCancelled(co_await SleepUntil(test.loop(), kForeverNs)));
    EXPECT_EQ(test.loop().Stats().pending, 1u) << "nothing is in flight: the test shows nothing";
    absl::Status status = (co_await chunks.Next()).status();
    EXPECT_EQ(test.loop().Stats().pending, 0u);
    co_return status;
  };
  TaskRoot<> root(loop(), body(*this));
  root.Start();
  for (int turn = 0; turn < 3; ++turn) loop().Poll();
  root.RequestStop();
  Finish(root);
  EXPECT_TRUE(absl::IsCancelled(root.TakeResult()));
}

using MultishotDeathTest = MultishotTest;

TEST_F(MultishotDeathTest, DestroyedInFlight) {
  const auto body = [](MultishotTest& test) -> Task<> {
    UniqueFd client = test.ConnectClient();
    AcceptStream connections(test.loop(), test.listener_);
    co_return (co_await connections.Next()).status();
  };
  EXPECT_DEATH((void)RunToCompletion(loop(), body(*this)),
               "SUB-6: an operation \\(Accept\\) is destroyed before it completed");
}

}  // namespace
}  // namespace tenon
