#include "tenon/conformance/faults/syscall_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace tenon::conformance {
namespace {

constexpr size_t kMaxRefused = 32;

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint32_t kArchitecture = AUDIT_ARCH_RISCV64;
#else
#error "Say which audit architecture system call numbers are of."
#endif

sock_filter Statement(uint16_t code, uint32_t operand) { return {code, 0, 0, operand}; }

sock_filter JumpIfEqual(uint32_t value, uint8_t if_true, uint8_t if_false) {
  return {BPF_JMP | BPF_JEQ | BPF_K, if_true, if_false, value};
}

}  // namespace

absl::Status RefuseSyscalls(const std::vector<RefusedSyscall>& refused) {
  CHECK(!refused.empty() && refused.size() <= kMaxRefused) << refused.size();
  std::vector<sock_filter> program = {
      Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      JumpIfEqual(kArchitecture, 1, 0),
      Statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const RefusedSyscall& call : refused) {
    program.push_back(JumpIfEqual(static_cast<uint32_t>(call.number), 0, 1));
    program.push_back(
        Statement(BPF_RET | BPF_K,
                  SECCOMP_RET_ERRNO | (static_cast<uint32_t>(call.error) & SECCOMP_RET_DATA)));
  }
  program.push_back(Statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  // Without privileges a filter may be installed only by those who can gain none.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return absl::UnavailableError("the kernel refuses no_new_privs, which a seccomp filter needs");
  }
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
    return absl::UnavailableError(
        absl::StrCat("the kernel refuses a seccomp filter (errno ", errno,
                     "): built without CONFIG_SECCOMP_FILTER, or a sandbox forbids it"));
  }
  return absl::OkStatus();
}

ChildOutcome RunWithRefusedSyscalls(const std::vector<RefusedSyscall>& refused,
                                    absl::FunctionRef<absl::Status()> callable) {
  return RunInChild([&]() -> absl::Status {
    const absl::Status installed = RefuseSyscalls(refused);
    return installed.ok() ? callable() : installed;
  });
}

}  // namespace tenon::conformance
