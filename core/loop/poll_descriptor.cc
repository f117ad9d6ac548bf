#include "tenon/core/loop/poll_descriptor.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/time.h"

namespace tenon {

absl::Status PollDescriptor::Init(int backend_fd) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) return OsError(errno, "epoll_create1 for embedding");
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.ok()) return OsError(errno, "timerfd_create for embedding");
  for (int fd : {backend_fd, timer.get()}) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return OsError(errno, "epoll_ctl(EPOLL_CTL_ADD) for embedding");
    }
  }
  epoll_ = std::move(epoll);
  timer_ = std::move(timer);
  armed_at_ns_ = kForeverNs;
  return absl::OkStatus();
}

void PollDescriptor::ArmAt(int64_t deadline_ns) {
  if (deadline_ns == armed_at_ns_) return;
  armed_at_ns_ = deadline_ns;
  itimerspec when = {};  // All zero disarms, and forgets an expiration.
  if (deadline_ns != kForeverNs) {
    deadline_ns = std::max<int64_t>(deadline_ns, 1);
    when.it_value = {.tv_sec = deadline_ns / kSecondNs, .tv_nsec = deadline_ns % kSecondNs};
  }
  CHECK_EQ(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr), 0)
      << "timerfd_settime";
}

}  // namespace tenon
