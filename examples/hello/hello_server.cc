// hello_server: sends back what it receives, until SIGINT or SIGTERM.
//
// Exit status: 0 after a signal, 1 when it could not serve.

#include <signal.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task.h"
#include "tenon/core/task/transfer.h"
#include "tenon/runtime/open_allocator.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/runtime/tcp_socket.h"

ABSL_FLAG(std::string, backend, "auto", "loop backend: one that is linked, or auto");
ABSL_FLAG(std::string, alloc, "system",
          "allocator of the loop, such as tracking(quota(64MiB, system))");
ABSL_FLAG(std::string, host, "127.0.0.1", "numeric address to listen at");
ABSL_FLAG(uint16_t, port, 7007, "TCP port to listen at; 0 is any free one");

namespace {

// Sends back what one connection sends, until its end. What goes wrong with it is no error of the
// server's.
tenon::Task<> Echo(tenon::Loop& loop, tenon::UniqueFd fd) {
  absl::StatusOr<tenon::Handle> handle = loop.Adopt(std::move(fd));
  if (!handle.ok()) co_return absl::OkStatus();
  const tenon::OwnedHandle connection(loop, *handle);
  char buffer[4096];
  while (true) {
    absl::StatusOr<size_t> count =
        co_await tenon::Recv(loop, connection.get(), absl::MakeSpan(buffer));
    if (!count.ok() || *count == 0) co_return absl::OkStatus();
    absl::Status sent =
        co_await tenon::SendAll(loop, connection.get(), absl::MakeConstSpan(buffer, *count));
    if (!sent.ok()) co_return absl::OkStatus();
  }
}

// Waits for a signal and stops the loop, which RunToCompletion takes as a request to stop the task.
tenon::Task<> StopOnSignal(tenon::Loop& loop, tenon::Handle signals) {
  char info[sizeof(signalfd_siginfo)];
  absl::Status status = co_await tenon::ReadExactly(loop, signals, absl::MakeSpan(info));
  if (status.ok()) loop.Stop();
  co_return status;
}

tenon::Task<> Serve(tenon::Loop& loop, tenon::Handle listener, tenon::Handle signals) {
  tenon::Scope scope(co_await tenon::CurrentContext(), tenon::ScopeOnError::kContinue);
  absl::Status status = scope.Spawn(StopOnSignal(loop, signals));
  while (status.ok()) {
    absl::StatusOr<tenon::UniqueFd> fd = co_await tenon::Accept(loop, listener);
    status = fd.ok() ? scope.Spawn(Echo(loop, *std::move(fd))) : fd.status();
    // Out of descriptors or memory, or the peer has left already: that connection is lost, and no
    // other. The loop holds the next Accept back, so that this does not spin.
    if (absl::IsResourceExhausted(status) || absl::IsUnavailable(status)) status = absl::OkStatus();
  }
  scope.Cancel();
  status.Update(co_await scope.Join());
  co_return status;
}

// SIGINT and SIGTERM as a descriptor.
absl::StatusOr<tenon::UniqueFd> TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  tenon::UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.ok()) return absl::ErrnoToStatus(errno, "signalfd");
  return fd;
}

absl::StatusOr<tenon::Handle> Listen(tenon::Loop& loop) {
  auto address =
      tenon::runtime::SocketAddress::Parse(absl::GetFlag(FLAGS_host), absl::GetFlag(FLAGS_port));
  if (!address.ok()) return address.status();
  absl::StatusOr<tenon::UniqueFd> socket = tenon::runtime::ListenTcp(*address);
  if (!socket.ok()) return socket.status();
  address = tenon::runtime::SocketAddress::OfSocket(socket->get());
  if (!address.ok()) return address.status();
  std::cout << "listening at " << address->ToString() << " on " << loop.backend_name() << std::endl;
  return loop.Adopt(*std::move(socket));
}

absl::Status Run() {
  absl::StatusOr<tenon::UniqueFd> signals_fd = TerminationSignals();
  if (!signals_fd.ok()) return signals_fd.status();
  absl::StatusOr<tenon::runtime::AllocatorStack> allocator =
      tenon::runtime::OpenAllocator(absl::GetFlag(FLAGS_alloc));
  if (!allocator.ok()) return allocator.status();
  const std::string backend = absl::GetFlag(FLAGS_backend);
  absl::StatusOr<tenon::Owned<tenon::Loop>> owned =
      tenon::runtime::OpenLoop({.backend = backend, .allocator = &allocator->get()});
  if (!owned.ok()) return owned.status();
  tenon::Loop& loop = **owned;
  absl::StatusOr<tenon::Handle> signals = loop.Adopt(*std::move(signals_fd));
  if (!signals.ok()) return signals.status();
  absl::StatusOr<tenon::Handle> listener = Listen(loop);
  if (!listener.ok()) return listener.status();
  absl::Status status = RunToCompletion(loop, Serve(loop, *listener, *signals));
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("sends back what it receives, until SIGINT or SIGTERM");
  if (const auto rest = absl::ParseCommandLine(argc, argv); rest.size() > 1) {
    std::cerr << "hello_server: unexpected argument \"" << rest[1] << "\"; see --help\n";
    return 1;
  }
  const absl::Status status = Run();
  if (status.ok()) return 0;
  std::cerr << "hello_server: " << status << "\n";
  return 1;
}
