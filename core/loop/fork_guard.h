// Notices that the process has forked.

#ifndef TENON_CORE_LOOP_FORK_GUARD_H_
#define TENON_CORE_LOOP_FORK_GUARD_H_

#include "absl/status/status.h"

namespace tenon {

// A page that the kernel wipes in a forked child (madvise(2) MADV_WIPEONFORK, Linux 4.14), so that
// asking costs one load and no system call.
//
// Threads: any may ask.
class ForkGuard {
 public:
  ForkGuard() = default;
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  // Maps the page. Fails with the kernel's refusal, leaving nothing.
  absl::Status Init();

  // Whether this process is a child forked since Init. REQUIRES: Init succeeded.
  bool InChild() const { return *page_ == 0; }

 private:
  volatile unsigned char* page_ = nullptr;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_FORK_GUARD_H_
