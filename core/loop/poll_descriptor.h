// What a foreign loop watches to know when an embedded loop has something to do.

#ifndef TENON_CORE_LOOP_POLL_DESCRIPTOR_H_
#define TENON_CORE_LOOP_POLL_DESCRIPTOR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon {

// One descriptor that is readable while a backend has events or a deadline has passed: an epoll(7)
// instance over the backend's own descriptor and a timerfd(2).
//
// Threads: the loop's thread.
class PollDescriptor {
 public:
  // Creates both descriptors; on failure, none remains. REQUIRES: not ok() yet.
  absl::Status Init(int backend_fd);
  bool ok() const { return epoll_.ok(); }

  // The descriptor to watch for input, level-triggered.
  int get() const { return epoll_.get(); }

  // Makes it readable from `deadline_ns` of CLOCK_MONOTONIC on; 0 is at once, kForeverNs never.
  void ArmAt(int64_t deadline_ns);

 private:
  UniqueFd epoll_;
  UniqueFd timer_;
  int64_t armed_at_ns_ = 0;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_POLL_DESCRIPTOR_H_
