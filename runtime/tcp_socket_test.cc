#include "tenon/runtime/tcp_socket.h"

#include <fcntl.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::runtime {
namespace {

using ::testing::HasSubstr;

SocketAddress Loopback(uint16_t port) { return SocketAddress::Parse("127.0.0.1", port).value(); }

TEST(SocketAddressTest, PrintsWhatItParsed) {
  EXPECT_EQ(Loopback(80).ToString(), "127.0.0.1:80");
  EXPECT_EQ(SocketAddress::Parse("::1", 8080)->ToString(), "[::1]:8080");
}

TEST(SocketAddressTest, RefusesNamesAndNonsense) {
  for (const char* host : {"localhost", "", "127.0.0.256", "1.2.3.4 "}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(host, 1);
    ASSERT_FALSE(address.ok()) << host;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ListenTcpTest, ListensOnAFreePortCloseOnExec) {
  const absl::StatusOr<UniqueFd> socket = ListenTcp(Loopback(0));
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_NE(SocketAddress::OfSocket(socket->get())->port(), 0);
  EXPECT_NE(::fcntl(socket->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ListenTcpTest, APortInUseIsNamedWithItsRemedy) {
  const absl::StatusOr<UniqueFd> first = ListenTcp(Loopback(0));
  ASSERT_TRUE(first.ok());
  const SocketAddress taken = SocketAddress::OfSocket(first->get()).value();
  const absl::StatusOr<UniqueFd> second = ListenTcp(taken);
  ASSERT_FALSE(second.ok());
  const std::string message(second.status().message());
  EXPECT_THAT(message, HasSubstr(taken.ToString()));
  EXPECT_THAT(message, HasSubstr("EADDRINUSE"));
  EXPECT_THAT(message, HasSubstr("choose another port"));
}

TEST(ListenTcpTest, AnAddressOfAnotherMachineIsRefused) {
  // 192.0.2.0/24 is reserved for documentation (RFC 5737).
  const absl::StatusOr<UniqueFd> socket = ListenTcp(SocketAddress::Parse("192.0.2.1", 0).value());
  ASSERT_FALSE(socket.ok());
  EXPECT_THAT(std::string(socket.status().message()), HasSubstr("not an address of this machine"));
}

TEST(ListenTcpTest, PortsAreSharedOnRequestOnly) {
  const absl::StatusOr<UniqueFd> first = ListenTcp(Loopback(0), {.reuse_port = true});
  ASSERT_TRUE(first.ok());
  const SocketAddress shared = SocketAddress::OfSocket(first->get()).value();
  EXPECT_TRUE(ListenTcp(shared, {.reuse_port = true}).ok());
  EXPECT_FALSE(ListenTcp(shared).ok());
}

}  // namespace
}  // namespace tenon::runtime
