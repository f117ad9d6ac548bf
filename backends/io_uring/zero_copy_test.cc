// Sends that leave the bytes where they are.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/backends/io_uring/backend_fixture.h"
#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/core/loop/loop.h"

namespace tenon::io_uring {
namespace {

class ZeroCopyTest : public IoUringBackendTest {
 protected:
  // A connection over loopback; one end is the loop's.
  Handle AdoptTcp(UniqueFd* peer) {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), generic, length), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), generic, &length), 0);
    *peer = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(peer->get(), generic, length), 0);
    return Adopt(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  static std::string ReceiveAll(int fd, size_t size) {
    std::string received(size, '\0');
    EXPECT_EQ(::recv(fd, received.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return received;
  }
};

TEST_F(ZeroCopyTest, CompletesOnceWhenTheBytesAreRead) {
  ASSERT_TRUE(loop_->capabilities().zero_copy_send);
  int notifications = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if ((completion.flags & IORING_CQE_F_NOTIF) != 0) ++notifications;
  };
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  const std::string first(20'000, 'a'), second(30'000, 'b');
  Recorded recorded;
  Operation sends[] = {Operation(&Record, &recorded), Operation(&Record, &recorded)};
  sends[0].PrepareSendZeroCopy(handle, first, 0);
  sends[1].PrepareSendZeroCopy(handle, second, 0);
  for (Operation& send : sends) loop_->Submit(send);
  RunUntilFinal(recorded, 2);
  EXPECT_EQ(recorded.completions, 2) << "a zero-copy send has one completion";
  EXPECT_EQ(notifications, 2);
  EXPECT_EQ(sends[0].result(), 20'000);
  EXPECT_EQ(sends[1].result(), 30'000);
  EXPECT_EQ(ReceiveAll(peer.get(), 50'000), first + second);
}

TEST_F(ZeroCopyTest, TheNextSendNeedNotWaitForTheBytesToBeRead) {
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  // As on a slow network: that the bytes were read is heard of with the next wake.
  uint64_t held = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if ((completion.flags & IORING_CQE_F_NOTIF) != 0) {
      held = std::exchange(completion.user_data, kCancelTag);
      completion.flags = 0;
    } else if (completion.user_data == kWakeTag) {
      completion.user_data = held;
      completion.res = 0;
      completion.flags = IORING_CQE_F_NOTIF;
    }
  };
  const std::string bytes(10'000, 'x');
  Recorded recorded_first, recorded_second;
  Operation first(&Record, &recorded_first), second(&Record, &recorded_second);
  first.PrepareSendZeroCopy(handle, bytes, 0);
  second.PrepareSend(handle, bytes, 0);
  loop_->Submit(first);
  loop_->Submit(second);
  RunUntilFinal(recorded_second);
  EXPECT_EQ(recorded_second.result, 10'000);
  EXPECT_EQ(recorded_first.completions, 0) << "its bytes may still be read";
  while (held == 0) Settle();
  backend_->Wake();
  RunUntilFinal(recorded_first);
  EXPECT_EQ(recorded_first.result, 10'000);
  EXPECT_EQ(ReceiveAll(peer.get(), 20'000), bytes + bytes);
}

TEST_F(ZeroCopyTest, IsACopyWhereTheSocketCannot) {
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  Recorded recorded;
  Operation send(&Record, &recorded);
  send.PrepareSendZeroCopy(handle, "abc", 0);
  loop_->Submit(send);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 4);
  EXPECT_EQ(ReceiveAll(peer.get(), 4), std::string("abc", 4));
}

TEST_F(ZeroCopyTest, ReportsABrokenConnection) {
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
  peer.Reset();
  Recorded recorded;
  Operation send(&Record, &recorded);
  for (int round = 1; round <= 2; ++round) {
    send.PrepareSendZeroCopy(handle, "abc", 0);
    loop_->Submit(send);
    RunUntilFinal(recorded, round);
  }
  EXPECT_EQ(recorded.result, -EPIPE);
  EXPECT_EQ(recorded.completions, 2);
}

// More than the socket takes at once, to a peer that does not read.
class StuckZeroCopyTest : public ZeroCopyTest {
 protected:
  void SendUntilStuck(Handle handle, Operation& send) {
    send.PrepareSendZeroCopy(handle, bytes_, 0);
    loop_->Submit(send);
    Settle();
    ASSERT_EQ(send.state(), OperationState::kInFlight) << "the peer has acknowledged everything";
  }

  const std::string bytes_ = std::string(4 << 20, 'x');
};

TEST_F(StuckZeroCopyTest, CloseGivesItsBytesUp) {
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  Recorded recorded;
  Operation send(&Record, &recorded);
  ASSERT_NO_FATAL_FAILURE(SendUntilStuck(handle, send));
  loop_->Close(handle);
  RunUntilFinal(recorded);
  EXPECT_GT(recorded.result, 0) << "what was taken is reported";
  EXPECT_EQ(recorded.completions, 1);
}

TEST_F(StuckZeroCopyTest, DrainEnds) {
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  Recorded recorded;
  Operation send(&Record, &recorded);
  ASSERT_NO_FATAL_FAILURE(SendUntilStuck(handle, send));
  EXPECT_TRUE(loop_->Drain(loop_->Now() + 10 * kSecondNs).ok());
  EXPECT_EQ(recorded.final_completions, 1);
}

TEST_F(StuckZeroCopyTest, ACancelBeforeTheFirstAnswerGivesThemUpToo) {
  UniqueFd peer;
  const Handle handle = AdoptTcp(&peer);
  Recorded recorded;
  Operation send(&Record, &recorded);
  send.PrepareSendZeroCopy(handle, bytes_, 0);
  // The answer is there, and not read, when the cancel comes.
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    const bool answer = completion.res > 0 && (completion.flags & IORING_CQE_F_MORE) != 0;
    if (answer && completion.user_data == TagOf(send)) loop_->Cancel(send);
  };
  loop_->Submit(send);
  RunUntilFinal(recorded);
  EXPECT_GT(recorded.result, 0);
}

}  // namespace
}  // namespace tenon::io_uring
