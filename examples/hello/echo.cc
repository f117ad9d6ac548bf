// echo BACKEND: the program of docs/quickstart.md.

#include <iostream>
#include <utility>

#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task.h"
#include "tenon/core/task/transfer.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/runtime/tcp_socket.h"

using namespace tenon;

// One connection: sends back what it receives, until the peer ends it.
Task<> Echo(Loop& loop, OwnedHandle connection) {
  char buffer[4096];
  while (true) {
    auto count = co_await Recv(loop, connection.get(), absl::MakeSpan(buffer));
    if (!count.ok()) co_return count.status();
    if (*count == 0) co_return absl::OkStatus();
    auto sent = co_await SendAll(loop, connection.get(), absl::MakeSpan(buffer, *count));
    if (!sent.ok()) co_return sent;
  }
}

// Every connection has a task of its own; the scope owns them all.
Task<> Serve(Loop& loop, Handle listener) {
  Scope scope(co_await CurrentContext(), ScopeOnError::kContinue);
  while (true) {
    auto fd = co_await Accept(loop, listener);
    if (absl::IsCancelled(fd.status())) break;
    auto handle = fd.ok() ? loop.Adopt(*std::move(fd)) : fd.status();
    if (handle.ok()) scope.Spawn(Echo(loop, OwnedHandle(loop, *handle))).IgnoreError();
  }
  co_return co_await scope.Join();
}

absl::Status Run(absl::string_view backend) {
  auto loop = runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();
  auto address = runtime::SocketAddress::Parse("127.0.0.1", 0);
  auto socket = runtime::ListenTcp(*address);
  if (!socket.ok()) return socket.status();
  std::cout << runtime::SocketAddress::OfSocket(socket->get())->ToString() << std::endl;
  auto listener = (*loop)->Adopt(*std::move(socket));
  if (!listener.ok()) return listener.status();
  return RunToCompletion(**loop, Serve(**loop, *listener));
}

int main(int argc, char** argv) {
  const absl::Status status = Run(argc > 1 ? argv[1] : "auto");
  std::cerr << status << std::endl;
  return status.ok() ? 0 : 1;
}
