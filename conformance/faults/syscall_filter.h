// Refusing a system call, as an old kernel, a container or a sandbox would.

#ifndef TENON_CONFORMANCE_FAULTS_SYSCALL_FILTER_H_
#define TENON_CONFORMANCE_FAULTS_SYSCALL_FILTER_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "tenon/conformance/faults/run_in_child.h"

namespace tenon::conformance {

// One system call to refuse: `number` as in SYS_epoll_create1, `error` as in EPERM.
struct RefusedSyscall {
  int number = 0;
  int error = 0;
};

// From now on this thread, and whatever it creates, gets `error` from each of `refused` instead of
// the call. Irreversible: the filter is the kernel's (seccomp(2), BPF). Returns Unavailable, with
// the reason, where the kernel refuses to install it. REQUIRES: 1 <= refused.size() <= 32.
absl::Status RefuseSyscalls(const std::vector<RefusedSyscall>& refused);

// RunInChild of `callable` with `refused` refused. When the filter cannot be installed the callable
// is not run and the outcome's status is that of RefuseSyscalls (code Unavailable): make the rule
// inconclusive then.
ChildOutcome RunWithRefusedSyscalls(const std::vector<RefusedSyscall>& refused,
                                    absl::FunctionRef<absl::Status()> callable);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_FAULTS_SYSCALL_FILTER_H_
