// Why a host refuses io_uring, in words that say what to change.

#ifndef TENON_BACKENDS_IO_URING_REFUSAL_H_
#define TENON_BACKENDS_IO_URING_REFUSAL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tenon::io_uring {

// What the host says about itself, as far as it bears on io_uring_setup(2).
struct HostFacts {
  // sysctl kernel.io_uring_disabled: 0 everyone may, 1 only a group and the privileged, 2 nobody.
  // -1 where the kernel has no such sysctl (before Linux 6.6).
  int io_uring_disabled = -1;
  // Whether a seccomp(2) filter is installed in this process.
  bool seccomp_filter = false;
  // RLIMIT_MEMLOCK in bytes, UINT64_MAX if there is none. Kernels before 5.12, and recent ones
  // again, count the rings of a user without CAP_IPC_LOCK against it.
  uint64_t memlock_bytes = 0;
  // uname(2)'s release, such as "6.1.0-18-amd64".
  std::string kernel_release = {};
};

// Looks at this host.
HostFacts ReadHostFacts();

// The status for an io_uring_setup(2) that failed with `errnum`: which of sysctl, seccomp, memory,
// descriptors or an old kernel it most likely was, and the remedy.
absl::Status SetupRefused(int errnum, const HostFacts& facts);

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_REFUSAL_H_
