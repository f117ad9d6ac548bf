#include "guest.h"

#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/core/loop/posted_task.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/stop_token.h"
#include "tenon/core/task/transfer.h"
#include "tenon/core/task/with_stop_token.h"
#include "tenon/runtime/tcp_socket.h"

namespace {

using tenon::runtime::SocketAddress;

constexpr int kMessages = 100;
constexpr int kTicks = 5;
constexpr int kPosts = 5;

struct Progress {
  int echoed = 0;
  int ticks = 0;
  int posts = 0;
};

// Serves one connection until its end.
tenon::Task<> Serve(tenon::Loop& loop, tenon::Handle listener) {
  absl::StatusOr<tenon::UniqueFd> fd = co_await tenon::Accept(loop, listener);
  if (!fd.ok()) co_return fd.status();
  absl::StatusOr<tenon::Handle> handle = loop.Adopt(*std::move(fd));
  if (!handle.ok()) co_return handle.status();
  const tenon::OwnedHandle connection(loop, *handle);
  char buffer[64];
  while (true) {
    absl::StatusOr<size_t> count =
        co_await tenon::Recv(loop, connection.get(), absl::MakeSpan(buffer));
    if (!count.ok() || *count == 0) co_return count.status();
    absl::Status sent =
        co_await tenon::SendAll(loop, connection.get(), absl::MakeConstSpan(buffer, *count));
    if (!sent.ok()) co_return sent;
  }
}

tenon::Task<> Ask(tenon::Loop& loop, const SocketAddress& server, int& echoed) {
  absl::StatusOr<tenon::UniqueFd> fd = tenon::runtime::OpenTcp(server);
  if (!fd.ok()) co_return fd.status();
  absl::StatusOr<tenon::Handle> handle = loop.Adopt(*std::move(fd));
  if (!handle.ok()) co_return handle.status();
  const tenon::OwnedHandle socket(loop, *handle);
  absl::Status status = co_await tenon::Connect(loop, socket.get(), server.data(), server.size());
  for (; status.ok() && echoed < kMessages; ++echoed) {
    const std::string message = absl::StrCat("message ", echoed);
    std::string answer(message.size(), '\0');
    status = co_await tenon::SendAll(loop, socket.get(), message);
    if (!status.ok()) break;
    status = co_await tenon::RecvExactly(loop, socket.get(), absl::MakeSpan(answer));
    if (status.ok() && answer != message) status = absl::DataLossError(answer);
  }
  co_return status;
}

tenon::Task<> Tick(tenon::Loop& loop, int& ticks) {
  absl::Status status;
  for (; status.ok() && ticks < kTicks; ++ticks) {
    status = co_await tenon::Sleep(loop, 2 * tenon::kMillisecondNs);
  }
  co_return status;
}

tenon::Task<> WaitForStop(tenon::Loop& loop) {
  absl::Status status = co_await tenon::SleepUntil(loop, tenon::kForeverNs);
  co_return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

// Waits, again and again, for a task posted by a thread of its own.
tenon::Task<> AwaitPosts(tenon::Loop& loop, int& posts) {
  absl::Status status;
  for (; status.ok() && posts < kPosts; ++posts) {
    tenon::StopSource posted;
    tenon::PostedTask task(
        [](tenon::PostedTask& self) {
          static_cast<tenon::StopSource*>(self.context())->RequestStop();
        },
        &posted);
    std::thread other([&] { loop.Post(task); });
    status = co_await tenon::WithStopToken(posted.token(), WaitForStop(loop));
    other.join();
  }
  co_return status;
}

}  // namespace

tenon::Task<absl::StatusOr<std::string>> Guest(tenon::Loop& loop) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse("127.0.0.1", 0);
  if (!address.ok()) co_return address.status();
  absl::StatusOr<tenon::UniqueFd> socket = tenon::runtime::ListenTcp(*address);
  if (!socket.ok()) co_return socket.status();
  address = SocketAddress::OfSocket(socket->get());
  if (!address.ok()) co_return address.status();
  absl::StatusOr<tenon::Handle> handle = loop.Adopt(*std::move(socket));
  if (!handle.ok()) co_return handle.status();
  const tenon::OwnedHandle listener(loop, *handle);

  Progress progress;
  tenon::Scope scope(co_await tenon::CurrentContext(), tenon::ScopeOnError::kCancelOthers);
  absl::Status status = scope.Spawn(Serve(loop, listener.get()));
  status.Update(scope.Spawn(Ask(loop, *address, progress.echoed)));
  status.Update(scope.Spawn(Tick(loop, progress.ticks)));
  status.Update(scope.Spawn(AwaitPosts(loop, progress.posts)));
  status.Update(co_await scope.Join());
  if (!status.ok()) co_return status;
  co_return absl::StrCat("guest on ", loop.backend_name(), ": ", progress.echoed,
                         " messages echoed, ", progress.ticks, " timers, ", progress.posts,
                         " posts");
}
