#include "tenon/backends/io_uring/refusal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::io_uring {
namespace {

// The beginning of a file of /proc; empty when it cannot be read.
std::string ReadProc(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return "";
  char text[4096];
  const ssize_t size = ::read(fd.get(), text, sizeof(text));
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

std::string Forbidden(const HostFacts& facts) {
  switch (facts.io_uring_disabled) {
    case 2:
      return "io_uring is switched off on this host; set sysctl kernel.io_uring_disabled=0";
    case 1:
      return "io_uring is reserved to a group on this host; add the user to the group of sysctl "
             "kernel.io_uring_group, or set sysctl kernel.io_uring_disabled=0";
    default:
      return facts.seccomp_filter
                 ? "a seccomp filter forbids it, as the default profiles of many containers do; "
                   "allow io_uring_setup, io_uring_enter and io_uring_register in the profile"
                 : "a security module forbids it; allow io_uring in its policy";
  }
}

std::string Missing(const HostFacts& facts) {
  if (facts.seccomp_filter) {
    return absl::StrCat("a seccomp filter hides it, or kernel ", facts.kernel_release,
                        " was built without CONFIG_IO_URING; allow io_uring_setup, io_uring_enter "
                        "and io_uring_register in the profile");
  }
  return absl::StrCat("kernel ", facts.kernel_release,
                      " does not have it; it takes Linux 6.1 built with CONFIG_IO_URING");
}

std::string NoMemory(const HostFacts& facts) {
  return absl::StrCat(
      "the kernel has no memory for the ring, or the rings of this user are over its limit of "
      "locked "
      "memory; raise RLIMIT_MEMLOCK (ulimit -l), now ",
      facts.memlock_bytes == UINT64_MAX ? std::string("unlimited")
                                        : absl::StrCat(facts.memlock_bytes / 1024, " KiB"),
      ", or the memory limit of the control group, or lower LoopOptions::queue_depth");
}

}  // namespace

HostFacts ReadHostFacts() {
  HostFacts facts;
  int value = 0;
  if (absl::SimpleAtoi(ReadProc("/proc/sys/kernel/io_uring_disabled"), &value)) {
    facts.io_uring_disabled = value;
  }
  facts.seccomp_filter = absl::StrContains(ReadProc("/proc/self/status"), "\nSeccomp:\t2");
  rlimit limit = {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    facts.memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
  }
  utsname name = {};
  if (::uname(&name) == 0) facts.kernel_release = name.release;
  return facts;
}

absl::Status SetupRefused(int errnum, const HostFacts& facts) {
  switch (errnum) {
    case EPERM:
    case EACCES:
      return OsError(errnum, "io_uring_setup", Forbidden(facts));
    case ENOSYS:
      return OsError(errnum, "io_uring_setup", Missing(facts));
    case ENOMEM:
      return OsError(errnum, "io_uring_setup", NoMemory(facts));
    case EINVAL:
      return StatusOf(
          absl::StatusCode::kUnimplemented, "io_uring_setup: EINVAL (Invalid argument): kernel ",
          facts.kernel_release,
          " does not know what the backend asks for (IORING_SETUP_DEFER_TASKRUN); it takes Linux "
          "6.1");
    default:
      return OsError(errnum, "io_uring_setup");
  }
}

}  // namespace tenon::io_uring
