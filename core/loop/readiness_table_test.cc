// What is particular to backends that work by readiness, on each of them: events that come once and
// must not be missed. The behaviour that all backends share is tested in //conformance.

#include "tenon/core/loop/readiness_table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop.h"

namespace tenon {
namespace {

struct Recorded {
  int completions = 0;
  int32_t result = 0;
};

void Record(Operation& operation) {
  auto& recorded = *static_cast<Recorded*>(operation.context());
  ++recorded.completions;
  recorded.result = operation.result();
}

// The two ends of a connection over 127.0.0.1.
void MakeTcpPair(UniqueFd& ours, UniqueFd& theirs) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), name, length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), name, &length), 0);
  theirs = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(theirs.get(), name, length), 0);
  ours = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(ours.ok());
}

class ReadinessTableTest : public testing::TestWithParam<const LoopBackendFactory*> {
 protected:
  void SetUp() override {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(*GetParam(), {}, allocator_);
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    int sockets[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    peer_ = UniqueFd(sockets[1]);
    absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(sockets[0]));
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *handle;
  }

  void RunUntilCompleted(const Recorded& recorded, int completions) {
    const int64_t deadline_ns = loop_->Now() + 10 * kSecondNs;
    while (recorded.completions < completions && loop_->Now() < deadline_ns) {
      loop_->RunOnce(deadline_ns);
    }
    ASSERT_EQ(recorded.completions, completions);
  }

  alloc::SystemAllocator allocator_;
  Owned<Loop> loop_;
  UniqueFd peer_;
  Handle handle_;
};

TEST_P(ReadinessTableTest, TheEndBehindAShortReadIsNotMissed) {
  // Data and the end arrive together: the short count must not be taken for "no more for now".
  ASSERT_EQ(::write(peer_.get(), "abc", 3), 3);
  peer_.Reset();
  char buffer[16];
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecv(handle_, absl::MakeSpan(buffer), 0);
  loop_->Submit(recv);
  RunUntilCompleted(recorded, 1);
  EXPECT_EQ(recorded.result, 3);
  recv.PrepareRecv(handle_, absl::MakeSpan(buffer), 0);
  loop_->Submit(recv);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, 0);
}

TEST_P(ReadinessTableTest, AFullSocketIsWrittenOnWhenItEmpties) {
  const std::string block(1 << 20, 'x');
  Recorded recorded;
  Operation send(&Record, &recorded);
  send.PrepareSend(handle_, block, 0);
  loop_->Submit(send);
  RunUntilCompleted(recorded, 1);
  ASSERT_GT(recorded.result, 0);
  ASSERT_LT(recorded.result, 1 << 20) << "the socket was not filled";
  send.PrepareSend(handle_, block, 0);
  loop_->Submit(send);
  loop_->Poll();
  ASSERT_EQ(recorded.completions, 1) << "a send on a full socket completed";
  ASSERT_EQ(send.state(), OperationState::kInFlight);
  std::string sink(1 << 20, '\0');
  ASSERT_GT(::read(peer_.get(), sink.data(), sink.size()), 0);
  RunUntilCompleted(recorded, 2);
  EXPECT_GT(recorded.result, 0);
}

TEST_P(ReadinessTableTest, PollSeesOutputAndInput) {
  Recorded recorded;
  Operation poll(&Record, &recorded);
  poll.PreparePoll(handle_, POLLOUT);
  loop_->Submit(poll);
  RunUntilCompleted(recorded, 1);
  EXPECT_EQ(recorded.result, POLLOUT);
  poll.PreparePoll(handle_, POLLIN);
  loop_->Submit(poll);
  loop_->Poll();
  ASSERT_EQ(recorded.completions, 1);
  ASSERT_EQ(::write(peer_.get(), "a", 1), 1);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, POLLIN);
}

// A loop with a descriptor that is read in small pieces by one Read after another.
class ShortReadTest : public ReadinessTableTest {
 protected:
  // Adopts `ours`, parks a Recv or Read of 64 bytes, has `write` make both pieces arrive at once,
  // and expects the second to be read without anything further arriving.
  template <typename Write>
  void ExpectBothPieces(UniqueFd ours, bool socket, Write write) {
    const absl::StatusOr<Handle> handle = loop_->Adopt(std::move(ours));
    ASSERT_TRUE(handle.ok()) << handle.status();
    char buffer[64];
    Recorded recorded;
    Operation read(&Record, &recorded);
    const auto submit = [&] {
      if (socket) {
        read.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
      } else {
        read.PrepareRead(*handle, absl::MakeSpan(buffer), kCurrentOffset);
      }
      loop_->Submit(read);
    };
    submit();
    loop_->Poll();
    ASSERT_EQ(read.state(), OperationState::kInFlight);
    write();
    RunUntilCompleted(recorded, 1);
    ASSERT_EQ(recorded.result, 3) << "the pieces came together";
    submit();
    RunUntilCompleted(recorded, 2);
    EXPECT_EQ(recorded.result, 3);
  }
};

TEST_P(ShortReadTest, UrgentDataEndsAReadAndNotTheStream) {
  UniqueFd ours, client;
  MakeTcpPair(ours, client);
  ExpectBothPieces(std::move(ours), true, [&] {
    ASSERT_EQ(::send(client.get(), "abc", 3, 0), 3);
    ASSERT_EQ(::send(client.get(), "!", 1, MSG_OOB), 1);
    ASSERT_EQ(::send(client.get(), "efg", 3, 0), 3);
  });
}

TEST_P(ReadinessTableTest, AnAcceptOfAConnectionFailsAtOnceAfterAShortReadToo) {
  UniqueFd ours, client;
  MakeTcpPair(ours, client);
  const absl::StatusOr<Handle> handle = loop_->Adopt(std::move(ours));
  ASSERT_TRUE(handle.ok()) << handle.status();
  ASSERT_EQ(::send(client.get(), "abc", 3, 0), 3);
  char buffer[16];
  Recorded recorded;
  Operation operation(&Record, &recorded);
  operation.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
  loop_->Submit(operation);
  RunUntilCompleted(recorded, 1);
  ASSERT_EQ(recorded.result, 3);
  operation.PrepareAccept(*handle);
  loop_->Submit(operation);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, -EINVAL);
}

TEST_P(ReadinessTableTest, AReceiveFromAListenerFailsAtOnceAfterAnAcceptToo) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const absl::StatusOr<Handle> handle = loop_->Adopt(std::move(listener));
  ASSERT_TRUE(handle.ok()) << handle.status();
  Recorded recorded;
  Operation operation(&Record, &recorded);
  operation.PrepareAccept(*handle);
  loop_->Submit(operation);
  loop_->Poll();
  ASSERT_EQ(operation.state(), OperationState::kInFlight);
  loop_->Cancel(operation);
  RunUntilCompleted(recorded, 1);
  char buffer[16];
  operation.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
  loop_->Submit(operation);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, -ENOTCONN);
}

TEST_P(ReadinessTableTest, AReceiveFromAPipeFailsAtOnceAfterAReadToo) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd theirs(pipe[1]);
  const absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(pipe[0]));
  ASSERT_TRUE(handle.ok()) << handle.status();
  char buffer[16];
  Recorded recorded;
  Operation operation(&Record, &recorded);
  operation.PrepareRead(*handle, absl::MakeSpan(buffer), kCurrentOffset);
  loop_->Submit(operation);
  loop_->Poll();
  ASSERT_EQ(operation.state(), OperationState::kInFlight);
  loop_->Cancel(operation);
  RunUntilCompleted(recorded, 1);
  operation.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
  loop_->Submit(operation);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, -ENOTSOCK);
}

TEST_P(ReadinessTableTest, NoBytesAreReadAtOnceFromAnEmptyPipe) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd theirs(pipe[1]);
  const absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(pipe[0]));
  ASSERT_TRUE(handle.ok()) << handle.status();
  char buffer[16];
  Recorded recorded;
  Operation read(&Record, &recorded);
  read.PrepareRead(*handle, absl::MakeSpan(buffer), kCurrentOffset);
  loop_->Submit(read);
  loop_->Poll();
  ASSERT_EQ(read.state(), OperationState::kInFlight) << "the pipe is not empty";
  loop_->Cancel(read);
  RunUntilCompleted(recorded, 1);
  read.PrepareRead(*handle, {}, kCurrentOffset);
  loop_->Submit(read);
  RunUntilCompleted(recorded, 2);
  EXPECT_EQ(recorded.result, 0);
}

TEST_P(ShortReadTest, APassedDescriptorEndsAReadOfALocalSocket) {
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd theirs(sockets[1]);
  ExpectBothPieces(UniqueFd(sockets[0]), true, [&] {
    char text[] = "abc";
    iovec piece = {.iov_base = text, .iov_len = 3};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int passed = theirs.get();
    std::memcpy(CMSG_DATA(header), &passed, sizeof(passed));
    ASSERT_EQ(::sendmsg(theirs.get(), &message, 0), 3);
    ASSERT_EQ(::send(theirs.get(), "efg", 3, 0), 3);
  });
}

TEST_P(ShortReadTest, APacketEndsAReadOfAPipe) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_DIRECT), 0);
  const UniqueFd theirs(pipe[1]);
  ExpectBothPieces(UniqueFd(pipe[0]), false, [&] {
    ASSERT_EQ(::write(theirs.get(), "abc", 3), 3);
    ASSERT_EQ(::write(theirs.get(), "efg", 3), 3);
  });
}

TEST_P(ReadinessTableTest, APeekIntoAPooledBufferLeavesTheDataToBeRead) {
  ASSERT_TRUE(loop_->RegisterBuffers(2, 64).ok());
  Recorded recorded;
  Operation recv(&Record, &recorded);
  for (int flags : {static_cast<int>(MSG_PEEK), 0}) {
    recv.PrepareRecvPooled(handle_, flags);
    loop_->Submit(recv);
    if (flags == MSG_PEEK) {
      loop_->Poll();
      ASSERT_EQ(::write(peer_.get(), "abc", 3), 3);
    }
    RunUntilCompleted(recorded, flags == MSG_PEEK ? 1 : 2);
    EXPECT_EQ(recorded.result, 3);
    loop_->ReturnBuffer(recv.buffer_id());
  }
}

TEST_P(ReadinessTableTest, RoomIsSeenByAnyOfItsNames) {
  Recorded recorded;
  Operation poll(&Record, &recorded);
  const std::string block(1 << 20, 'x');
  while (::send(loop_->Descriptor(handle_), block.data(), block.size(), MSG_DONTWAIT) > 0) {
  }
  poll.PreparePoll(handle_, POLLWRNORM);
  loop_->Submit(poll);
  loop_->Poll();
  ASSERT_EQ(poll.state(), OperationState::kInFlight);
  std::string sink(1 << 20, '\0');
  while (::recv(peer_.get(), sink.data(), sink.size(), MSG_DONTWAIT) > 0) {
  }
  RunUntilCompleted(recorded, 1);
  EXPECT_EQ(recorded.result, POLLWRNORM);
}

std::string NameOf(const testing::TestParamInfo<const LoopBackendFactory*>& info) {
  return std::string(info.param->name());
}

INSTANTIATE_TEST_SUITE_P(Linked, ReadinessTableTest, testing::ValuesIn(runtime::LinkedBackends()),
                         &NameOf);
INSTANTIATE_TEST_SUITE_P(Linked, ShortReadTest, testing::ValuesIn(runtime::LinkedBackends()),
                         &NameOf);

}  // namespace
}  // namespace tenon
