// An echo server on Tenon: a coroutine for each connection.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/owned.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task.h"
#include "tenon/core/task/transfer.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/bench/echo_subjects.h"

namespace tenon::bench {
namespace {

Task<> EchoUntilClosed(Loop& loop, OwnedHandle socket) {
  std::array<char, kEchoBufferSize> buffer;
  while (true) {
    absl::StatusOr<size_t> count = co_await Recv(loop, socket.get(), absl::MakeSpan(buffer));
    if (!count.ok() || *count == 0) co_return count.status();
    absl::Status status =
        co_await SendAll(loop, socket.get(), absl::MakeConstSpan(buffer.data(), *count));
    if (!status.ok()) co_return status;
  }
}

// Ends with the error that keeps it from accepting or from serving what it has accepted.
Task<> AcceptConnections(Loop& loop, Handle listener) {
  // Connections have nothing to do with each other.
  Scope connections(co_await CurrentContext(), ScopeOnError::kContinue);
  absl::Status status;
  while (status.ok()) {
    absl::StatusOr<UniqueFd> socket = co_await Accept(loop, listener);
    if (!socket.ok()) {
      status = socket.status();
      break;
    }
    const int on = 1;
    setsockopt(socket->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    absl::StatusOr<Handle> handle = loop.Adopt(*std::move(socket));
    status = handle.ok() ? connections.Spawn(EchoUntilClosed(loop, OwnedHandle(loop, *handle)))
                         : handle.status();
  }
  connections.Cancel();
  // How single connections ended does not matter.
  (co_await connections.Join()).IgnoreError();
  co_return status;
}

}  // namespace

absl::Status ServeTenon(absl::string_view backend, int listen_fd) {
  absl::StatusOr<Owned<Loop>> loop = runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();
  absl::StatusOr<Handle> listener = (*loop)->Adopt(UniqueFd(listen_fd));
  if (!listener.ok()) return listener.status();
  return RunToCompletion(**loop, AcceptConnections(**loop, *listener));
}

}  // namespace tenon::bench
