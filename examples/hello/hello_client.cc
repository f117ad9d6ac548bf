// hello_client MESSAGE: sends a message to an echo server and prints what comes back.
//
// Exit status: 0 when the same came back, 1 otherwise.

#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task.h"
#include "tenon/core/task/transfer.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/runtime/tcp_socket.h"

ABSL_FLAG(std::string, backend, "auto", "loop backend: one that is linked, or auto");
ABSL_FLAG(std::string, host, "127.0.0.1", "numeric address of the server");
ABSL_FLAG(uint16_t, port, 7007, "TCP port of the server");

namespace {

using tenon::runtime::SocketAddress;

tenon::Task<absl::StatusOr<std::string>> Ask(tenon::Loop& loop, const SocketAddress& server,
                                             absl::string_view message) {
  absl::StatusOr<tenon::UniqueFd> fd = tenon::runtime::OpenTcp(server);
  if (!fd.ok()) co_return fd.status();
  absl::StatusOr<tenon::Handle> handle = loop.Adopt(*std::move(fd));
  if (!handle.ok()) co_return handle.status();
  const tenon::OwnedHandle socket(loop, *handle);
  absl::Status status = co_await tenon::Connect(loop, socket.get(), server.data(), server.size());
  if (!status.ok()) co_return status;
  status = co_await tenon::SendAll(loop, socket.get(), message);
  if (!status.ok()) co_return status;
  std::string answer(message.size(), '\0');
  status = co_await tenon::RecvExactly(loop, socket.get(), absl::MakeSpan(answer));
  if (!status.ok()) co_return status;
  co_return answer;
}

absl::Status Run(absl::string_view message) {
  const auto server = SocketAddress::Parse(absl::GetFlag(FLAGS_host), absl::GetFlag(FLAGS_port));
  if (!server.ok()) return server.status();
  const std::string backend = absl::GetFlag(FLAGS_backend);
  absl::StatusOr<tenon::Owned<tenon::Loop>> loop = tenon::runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();
  absl::StatusOr<std::string> answer = RunToCompletion(**loop, Ask(**loop, *server, message));
  if (!answer.ok()) return answer.status();
  std::cout << *answer << "\n";
  return *answer == message ? absl::OkStatus() : absl::DataLossError("the answer is another one");
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("hello_client MESSAGE: sends it to an echo server");
  const auto rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() != 2) {
    std::cerr << "hello_client: give one MESSAGE to send; see --help\n";
    return 1;
  }
  const absl::Status status = Run(rest[1]);
  if (status.ok()) return 0;
  std::cerr << "hello_client: " << status << "\n";
  return 1;
}
