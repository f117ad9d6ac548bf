// in_epoll: a Tenon loop inside an event loop written by hand over epoll(7).
//
// Exit status: 0 when both loops have done their work, 1 otherwise.

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "guest.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/run.h"
#include "tenon/runtime/open_loop.h"

ABSL_FLAG(std::string, backend, "auto", "loop backend: one that is linked, or auto");

namespace {

// The application's own loop: a timer, at each tick of which a datagram is sent to a socket of the
// loop's, and whatever else there is to watch.
class Host {
 public:
  static constexpr int kTicks = 5;

  absl::Status Open() {
    const sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const itimerspec period = {.it_interval = {0, 2'000'000}, .it_value = {0, 2'000'000}};
    if (!epoll_.ok() || !timer_.ok() || !socket_.ok() ||
        bind(socket_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0 ||
        timerfd_settime(timer_.get(), 0, &period, nullptr) != 0) {
      return absl::ErrnoToStatus(errno, "the host's own descriptors");
    }
    absl::Status status = Watch(timer_.get());
    status.Update(Watch(socket_.get()));
    return status;
  }

  // Level-triggered, for input.
  absl::Status Watch(int fd) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, "epoll_ctl");
  }

  // Waits for one descriptor and returns it, after doing what is to be done if it is the host's
  // own.
  int Turn() {
    epoll_event event;
    while (epoll_wait(epoll_.get(), &event, 1, -1) != 1) continue;
    if (event.data.fd == timer_.get()) Tick();
    char byte;
    if (event.data.fd == socket_.get()) datagrams_ += recv(socket_.get(), &byte, 1, 0) == 1;
    return event.data.fd;
  }

  bool done() const { return datagrams_ >= kTicks; }
  int ticks() const { return ticks_; }
  int datagrams() const { return datagrams_; }

 private:
  void Tick() {
    uint64_t expirations;
    if (read(timer_.get(), &expirations, sizeof(expirations)) < 0) return;
    ++ticks_;
    sockaddr_in self;
    socklen_t size = sizeof(self);
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&self), &size);
    sendto(socket_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&self), size);
  }

  const tenon::UniqueFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  const tenon::UniqueFd timer_{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  const tenon::UniqueFd socket_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  int ticks_ = 0;
  int datagrams_ = 0;
};

absl::Status Run() {
  Host host;
  if (absl::Status status = host.Open(); !status.ok()) return status;
  const std::string backend = absl::GetFlag(FLAGS_backend);
  absl::StatusOr<tenon::Owned<tenon::Loop>> loop = tenon::runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();

  // This is all: a descriptor that the host watches for input, and Poll() when there is some.
  const absl::StatusOr<int> poll_fd = (*loop)->PollFd();
  if (!poll_fd.ok()) return poll_fd.status();
  if (absl::Status status = host.Watch(*poll_fd); !status.ok()) return status;
  tenon::TaskRoot<absl::StatusOr<std::string>> guest(**loop, Guest(**loop));
  guest.Start();
  while (!host.done() || !guest.done()) {
    if (host.Turn() == *poll_fd) (*loop)->Poll();
  }

  absl::StatusOr<std::string> summary = guest.TakeResult();
  if (!summary.ok()) return summary.status();
  std::cout << "host: " << host.ticks() << " timers, " << host.datagrams() << " datagrams\n"
            << *summary << "\n";
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("runs a Tenon loop inside a loop over epoll(7)");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = Run();
  if (status.ok()) return 0;
  std::cerr << "in_epoll: " << status << "\n";
  return 1;
}
