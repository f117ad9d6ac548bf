#include "tenon/core/task/operations.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/pooled_buffer.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/transfer.h"
#include "tenon/core/task/work.h"

namespace tenon {
namespace {

class OperationsTest : public TaskTest {
 protected:
  // Runs a coroutine that takes the test, and expects it to end well.
  void Run(Task<> (*body)(OperationsTest&)) {
    EXPECT_EQ(RunToCompletion(loop(), body(*this)), absl::OkStatus());
  }
};

// In coroutines, where ASSERT cannot return.
#define EXPECT_OK_OR_RETURN(status)               \
  do {                                            \
    const absl::Status expected_ok = (status);    \
    EXPECT_EQ(expected_ok, absl::OkStatus());     \
    if (!expected_ok.ok()) co_return expected_ok; \
  } while (false)

TEST_F(OperationsTest, TurnTimeStandsStillWithinATurn) {
  EXPECT_EQ(loop().TurnTime(), 0);
  const auto body = [](Loop& loop) -> Task<> {
    const int64_t before_ns = loop.Now();
    absl::Status status = co_await Sleep(loop, kMillisecondNs);
    const int64_t turn_ns = loop.TurnTime();
    EXPECT_GE(turn_ns, before_ns + kMillisecondNs);
    while (loop.Now() <= turn_ns) {
    }
    EXPECT_EQ(loop.TurnTime(), turn_ns);
    co_return status;
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop())), absl::OkStatus());
}

TEST_F(OperationsTest, TurnsAndTime) {
  Run([](OperationsTest& test) -> Task<> {
    EXPECT_OK_OR_RETURN(co_await Nop(test.loop()));
    const int64_t start_ns = test.loop().Now();
    EXPECT_OK_OR_RETURN(co_await Sleep(test.loop(), kMillisecondNs));
    EXPECT_GE(test.loop().Now(), start_ns + kMillisecondNs);
    EXPECT_OK_OR_RETURN(co_await SleepUntil(test.loop(), start_ns + 2 * kMillisecondNs));
    EXPECT_GE(test.loop().Now(), start_ns + 2 * kMillisecondNs);
    co_return absl::OkStatus();
  });
}

TEST_F(OperationsTest, SendAndRecv) {
  Run([](OperationsTest& test) -> Task<> {
    const HandlePair pair = test.MakeSocketPair();
    char buffer[16];
    absl::StatusOr<size_t> sent =
        co_await Send(test.loop(), pair.first, absl::string_view("hello"));
    EXPECT_OK_OR_RETURN(sent.status());
    EXPECT_EQ(*sent, 5u);
    absl::StatusOr<uint32_t> events = co_await Poll(test.loop(), pair.second, POLLIN);
    EXPECT_OK_OR_RETURN(events.status());
    EXPECT_EQ(*events, static_cast<uint32_t>(POLLIN));
    absl::StatusOr<size_t> received =
        co_await Recv(test.loop(), pair.second, absl::MakeSpan(buffer));
    EXPECT_OK_OR_RETURN(received.status());
    EXPECT_EQ(absl::string_view(buffer, *received), "hello");
    EXPECT_OK_OR_RETURN(co_await Shutdown(test.loop(), pair.first, SHUT_WR));
    received = co_await Recv(test.loop(), pair.second, absl::MakeSpan(buffer));
    EXPECT_OK_OR_RETURN(received.status());
    EXPECT_EQ(*received, 0u);
    co_return absl::OkStatus();
  });
}

TEST_F(OperationsTest, SendMsgAndRecvMsg) {
  Run([](OperationsTest& test) -> Task<> {
    const HandlePair pair = test.MakeSocketPair();
    char text[] = "hello";
    iovec part = {.iov_base = text, .iov_len = 5};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    absl::StatusOr<size_t> sent = co_await SendMsg(test.loop(), pair.first, &message);
    EXPECT_OK_OR_RETURN(sent.status());
    EXPECT_EQ(*sent, 5u);
    std::memset(text, 0, sizeof(text));
    absl::StatusOr<size_t> received = co_await RecvMsg(test.loop(), pair.second, &message);
    EXPECT_OK_OR_RETURN(received.status());
    EXPECT_EQ(absl::string_view(text, *received), "hello");
    co_return absl::OkStatus();
  });
}

TEST_F(OperationsTest, ConnectAndAccept) {
  Run([](OperationsTest& test) -> Task<> {
    sockaddr_storage storage;
    socklen_t length = 0;
    const Handle listener = test.MakeListener(&storage, &length);
    const Handle client = test.Adopt(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    const auto* address = reinterpret_cast<const sockaddr*>(&storage);
    EXPECT_OK_OR_RETURN(co_await Connect(test.loop(), client, address, length));
    absl::StatusOr<UniqueFd> accepted = co_await Accept(test.loop(), listener);
    EXPECT_OK_OR_RETURN(accepted.status());
    EXPECT_TRUE(accepted->ok());
    co_return absl::OkStatus();
  });
}

TEST_F(OperationsTest, RecvPooledLendsABufferAndTakesItBack) {
  ASSERT_EQ(loop().RegisterBuffers(1, 4096), absl::OkStatus());
  loop_bytes_ = counting_.Stats().live_bytes;
  Run([](OperationsTest& test) -> Task<> {
    const HandlePair pair = test.MakeSocketPair();
    EXPECT_OK_OR_RETURN(co_await SendAll(test.loop(), pair.first, absl::string_view("hello")));
    {
      absl::StatusOr<PooledBuffer> buffer = co_await RecvPooled(test.loop(), pair.second);
      EXPECT_OK_OR_RETURN(buffer.status());
      EXPECT_EQ(absl::string_view(buffer->bytes().data(), buffer->size()), "hello");
      EXPECT_EQ(test.loop().Stats().buffers_lent, 1u);
      PooledBuffer moved = *std::move(buffer);
      EXPECT_EQ(moved.size(), 5u);
      // It was the only one.
      EXPECT_OK_OR_RETURN(co_await SendAll(test.loop(), pair.first, absl::string_view("again")));
      absl::StatusOr<PooledBuffer> none = co_await RecvPooled(test.loop(), pair.second);
      EXPECT_TRUE(absl::IsResourceExhausted(none.status())) << none.status();
      EXPECT_EQ(none.status().message(), "");
    }
    EXPECT_EQ(test.loop().Stats().buffers_lent, 0u);
    absl::StatusOr<PooledBuffer> again = co_await RecvPooled(test.loop(), pair.second);
    EXPECT_OK_OR_RETURN(again.status());
    EXPECT_EQ(again->size(), 5u);
    co_return absl::OkStatus();
  });
}

TEST_F(OperationsTest, Files) {
  Run([](OperationsTest& test) -> Task<> {
    Loop& loop = test.loop();
    const std::string directory = absl::StrCat(testing::TempDir(), "/operations_test");
    const std::string path = directory + "/file";
    const std::string moved = directory + "/moved";
    EXPECT_OK_OR_RETURN(co_await Mkdir(loop, kCurrentDirectory, directory.c_str(), 0700));
    absl::StatusOr<UniqueFd> fd =
        co_await OpenAt(loop, kCurrentDirectory, path.c_str(), O_CREAT | O_RDWR, 0600);
    EXPECT_OK_OR_RETURN(fd.status());
    const Handle file = test.Adopt(*std::move(fd));
    const absl::string_view text = "written";
    EXPECT_OK_OR_RETURN(co_await WriteAll(loop, file, text, 3));
    absl::StatusOr<size_t> written = co_await Write(loop, file, absl::string_view("abc"), 0);
    EXPECT_OK_OR_RETURN(written.status());
    EXPECT_OK_OR_RETURN(co_await Fsync(loop, file));
    char buffer[10];
    EXPECT_OK_OR_RETURN(co_await ReadExactly(loop, file, absl::MakeSpan(buffer), 0));
    EXPECT_EQ(absl::string_view(buffer, 10), "abcwritten");
    absl::StatusOr<size_t> read = co_await Read(loop, file, absl::MakeSpan(buffer), 8);
    EXPECT_OK_OR_RETURN(read.status());
    EXPECT_EQ(*read, 2u);
    const absl::Status beyond = co_await ReadExactly(loop, file, absl::MakeSpan(buffer), 5);
    EXPECT_TRUE(absl::IsOutOfRange(beyond)) << beyond;
    struct statx stat = {};
    EXPECT_OK_OR_RETURN(
        co_await Statx(loop, kCurrentDirectory, path.c_str(), 0, STATX_SIZE, &stat));
    EXPECT_EQ(stat.stx_size, 10u);
    EXPECT_OK_OR_RETURN(co_await Close(loop, file));
    EXPECT_EQ(loop.Descriptor(file), -1);
    EXPECT_OK_OR_RETURN(
        co_await Rename(loop, kCurrentDirectory, path.c_str(), kCurrentDirectory, moved.c_str()));
    EXPECT_OK_OR_RETURN(co_await Unlink(loop, kCurrentDirectory, moved.c_str()));
    co_return co_await Unlink(loop, kCurrentDirectory, directory.c_str(), AT_REMOVEDIR);
  });
}

TEST_F(OperationsTest, SpliceMovesBytes) {
  Run([](OperationsTest& test) -> Task<> {
    const HandlePair pipe = test.MakePipe();
    const HandlePair sockets = test.MakeSocketPair();
    EXPECT_OK_OR_RETURN(co_await WriteAll(test.loop(), pipe.second, absl::string_view("hello")));
    absl::StatusOr<size_t> moved =
        co_await Splice(test.loop(), pipe.first, kCurrentOffset, sockets.first, kCurrentOffset, 5);
    EXPECT_OK_OR_RETURN(moved.status());
    EXPECT_EQ(*moved, 5u);
    char buffer[5];
    co_return co_await RecvExactly(test.loop(), sockets.second, absl::MakeSpan(buffer));
  });
}

// ---- Work ----

TEST_F(OperationsTest, WorkResultsInWhatTheCallableReturns) {
  Run([](OperationsTest& test) -> Task<> {
    const pthread_t here = ::pthread_self();
    const std::string text = "a callable with state";
    absl::StatusOr<size_t> size = co_await Work(
        test.loop(), [&text, here] { return here == ::pthread_self() ? 0 : text.size(); });
    EXPECT_OK_OR_RETURN(size.status());
    EXPECT_EQ(*size, text.size());
    bool ran = false;
    EXPECT_OK_OR_RETURN(co_await Work(test.loop(), [&ran] { ran = true; }));
    EXPECT_TRUE(ran);
    const absl::Status failed =
        co_await Work(test.loop(), [] { return absl::NotFoundError("nothing there"); });
    EXPECT_EQ(failed, absl::NotFoundError("nothing there"));
    const absl::StatusOr<std::string> name =
        co_await Work(test.loop(), []() -> absl::StatusOr<std::string> { return "a name"; });
    EXPECT_OK_OR_RETURN(name.status());
    EXPECT_EQ(*name, "a name");
    co_return absl::OkStatus();
  });
}

// ---- Many rounds ----

TEST_F(OperationsTest, SendAllAndRecvExactlyMoveMoreThanTheKernelTakesAtOnce) {
  static constexpr size_t kSize = 4 << 20;
  struct Ends {
    static Task<> Sends(Loop& loop, Handle socket, const std::string& text) {
      co_return co_await SendAll(loop, socket, text);
    }
  };
  const HandlePair pair = MakeSocketPair();
  std::string text(kSize, 'x');
  for (size_t i = 0; i < kSize; i += 4093) text[i] = static_cast<char>('a' + i % 26);
  const uint64_t frames = frames_made();
  TaskRoot<> sender(loop(), Ends::Sends(loop(), pair.first, text));
  sender.Start();
  loop().Poll();
  ASSERT_FALSE(sender.done()) << "the kernel took everything at once: the test shows nothing";
  std::string received(kSize, '?');
  const auto receive = [](Loop& loop, Handle socket, std::string* text) -> Task<> {
    co_return co_await RecvExactly(loop, socket, absl::MakeSpan(*text));
  };
  EXPECT_EQ(RunToCompletion(loop(), receive(loop(), pair.second, &received)), absl::OkStatus());
  Finish(sender);
  EXPECT_EQ(sender.TakeResult(), absl::OkStatus());
  EXPECT_TRUE(received == text);
  EXPECT_EQ(frames_made(), frames + 2);
}

TEST_F(OperationsTest, NothingToMoveIsDoneAtOnce) {
  Run([](OperationsTest& test) -> Task<> {
    EXPECT_OK_OR_RETURN(co_await SendAll(test.loop(), Handle{}, {}));
    co_return co_await ReadExactly(test.loop(), Handle{}, {});
  });
}

TEST_F(OperationsTest, RecvExactlySaysThatTheStreamEnded) {
  Run([](OperationsTest& test) -> Task<> {
    const HandlePair pair = test.MakeSocketPair();
    EXPECT_OK_OR_RETURN(co_await SendAll(test.loop(), pair.first, absl::string_view("abc")));
    EXPECT_OK_OR_RETURN(co_await Close(test.loop(), pair.first));
    char buffer[8];
    const absl::Status status =
        co_await RecvExactly(test.loop(), pair.second, absl::MakeSpan(buffer));
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "after 3 of 8 bytes")) << status;
    co_return absl::OkStatus();
  });
}

// ---- Errors ----

TEST_F(OperationsTest, ErrorsNameTheOperationTheErrnoAndTheCause) {
  Run([](OperationsTest& test) -> Task<> {
    char byte;
    const absl::StatusOr<size_t> stale =
        co_await Recv(test.loop(), Handle{}, absl::MakeSpan(&byte, 1));
    EXPECT_TRUE(absl::StrContains(stale.status().message(), "Recv: EBADF")) << stale.status();
    const absl::StatusOr<UniqueFd> missing =
        co_await OpenAt(test.loop(), kCurrentDirectory, "/no/such/file", O_RDONLY);
    EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
    EXPECT_TRUE(absl::StrContains(missing.status().message(), "OpenAt: ENOENT"));
    const HandlePair pair = test.MakeSocketPair();
    EXPECT_OK_OR_RETURN(co_await Close(test.loop(), pair.second));
    const absl::StatusOr<size_t> gone =
        co_await Send(test.loop(), pair.first, absl::string_view("x"));
    EXPECT_TRUE(absl::StrContains(gone.status().message(), "the peer closed")) << gone.status();
    co_return absl::OkStatus();
  });
}

TEST(OperationErrorTest, ExhaustionAndCancellationCarryNoMessage) {
  EXPECT_EQ(OperationError(Opcode::kRecv, -ECANCELED), absl::CancelledError(""));
  EXPECT_EQ(OperationError(Opcode::kRecv, -ENOMEM), absl::ResourceExhaustedError(""));
  EXPECT_EQ(OperationError(Opcode::kRecv, -ENOBUFS), absl::ResourceExhaustedError(""));
  EXPECT_TRUE(absl::StrContains(OperationError(Opcode::kAccept, -EMFILE).message(), "ulimit -n"));
}

TEST_F(OperationsTest, CloseIsPerformedForATaskThatWasAskedToStop) {
  const HandlePair pair = MakeSocketPair();
  const auto body = [](Loop& loop, Handle socket) -> Task<> {
    EXPECT_TRUE(absl::IsCancelled(co_await Nop(loop)));
    co_return co_await Close(loop, socket);
  };
  TaskRoot<> root(loop(), body(loop(), pair.first));
  root.RequestStop();
  root.Start();
  Finish(root);
  EXPECT_EQ(root.TakeResult(), absl::OkStatus());
  EXPECT_EQ(loop().Descriptor(pair.first), -1);
}

}  // namespace
}  // namespace tenon
