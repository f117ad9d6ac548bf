// An echo server of tasks, as an application would write it, against a client of plain sockets.

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/check.h"
#include "gtest/gtest.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/transfer.h"

namespace tenon {
namespace {

constexpr int kClients = 8;
constexpr int kMessages = 50;

Task<> Echo(Loop& loop, OwnedHandle connection) {
  char buffer[8192];
  while (true) {
    absl::StatusOr<size_t> count = co_await Recv(loop, connection.get(), absl::MakeSpan(buffer));
    if (!count.ok()) co_return count.status();
    if (*count == 0) co_return absl::OkStatus();
    absl::Status sent = co_await SendAll(loop, connection.get(), absl::MakeSpan(buffer, *count));
    if (!sent.ok()) co_return sent;
  }
}

Task<> Serve(Loop& loop, Handle listener, int connections) {
  Scope scope(co_await CurrentContext(), ScopeOnError::kContinue);
  absl::Status status;
  for (int i = 0; status.ok() && i < connections; ++i) {
    absl::StatusOr<UniqueFd> fd = co_await Accept(loop, listener);
    status = fd.status();
    if (!fd.ok()) break;
    absl::StatusOr<Handle> handle = loop.Adopt(*std::move(fd));
    status = handle.ok() ? scope.Spawn(Echo(loop, OwnedHandle(loop, *handle))) : handle.status();
  }
  status.Update(co_await scope.Join());
  co_return status;
}

class EchoTest : public TaskTest {
 protected:
  EchoTest() { listener_ = MakeListener(&address_, &address_length_); }

  // Sends messages of growing length and counts the bytes that come back as they were.
  size_t Talk(int client) const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    PCHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), address_length_) == 0);
    size_t echoed = 0;
    for (int i = 0; i < kMessages; ++i) {
      const std::string message(static_cast<size_t>(1 + 97 * i), static_cast<char>('a' + client));
      PCHECK(::send(fd.get(), message.data(), message.size(), MSG_NOSIGNAL) ==
             static_cast<ssize_t>(message.size()));
      std::string answer(message.size(), '?');
      PCHECK(::recv(fd.get(), answer.data(), answer.size(), MSG_WAITALL) ==
             static_cast<ssize_t>(answer.size()));
      if (answer == message) echoed += answer.size();
    }
    return echoed;
  }

  sockaddr_storage address_ = {};
  socklen_t address_length_ = 0;
  Handle listener_;
};

TEST_F(EchoTest, EveryClientGetsBackWhatItSent) {
  std::vector<size_t> echoed(kClients);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, &echoed, i] { echoed[static_cast<size_t>(i)] = Talk(i); });
  }
  EXPECT_EQ(RunToCompletion(loop(), Serve(loop(), listener_, kClients)), absl::OkStatus());
  for (std::thread& client : clients) client.join();
  const size_t expected = kMessages + 97 * kMessages * (kMessages - 1) / 2;
  EXPECT_EQ(echoed, std::vector<size_t>(kClients, expected));
}

TEST_F(EchoTest, AnEndingServerLetsGoOfItsConnections) {
  TaskRoot<> root(loop(), Serve(loop(), listener_, kClients));
  root.Start();
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  PCHECK(::connect(client.get(), reinterpret_cast<sockaddr*>(&address_), address_length_) == 0);
  while (loop().Stats().open_handles < 2) loop().RunOnce();
  root.RequestStop();
  while (!root.done()) loop().RunOnce();
  EXPECT_TRUE(absl::IsCancelled(root.TakeResult()));
  loop().Run();
  char byte = 0;
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 0) << "the connection is still open";
}

}  // namespace
}  // namespace tenon
