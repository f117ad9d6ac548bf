#include "tenon/core/loop/os_error.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"

namespace tenon {
namespace {

absl::StatusCode CodeOf(int errnum) {
  switch (errnum) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EAGAIN:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::ErrnoToStatusCode(errnum);
  }
}

absl::string_view LikelyCause(int errnum) {
  switch (errnum) {
    case EMFILE:
      return "the process is at its descriptor limit; raise RLIMIT_NOFILE (ulimit -n) or close "
             "descriptors";
    case ENFILE:
      return "the system is at its descriptor limit; raise sysctl fs.file-max";
    case ENOMEM:
      return "the kernel has no memory for it; raise the memory limit of the host or control "
             "group, or RLIMIT_MEMLOCK";
    case EPERM:
    case EACCES:
      return "it is forbidden here, likely by a seccomp filter, a security module or a sysctl; "
             "allow it in the container's profile";
    case ENOSYS:
      return "the kernel does not have it, or a seccomp filter hides it; use a newer kernel or "
             "another backend, or allow it in the container's profile";
    case EADDRINUSE:
      return "another socket is bound to the address; stop its process or choose another port";
    case EBADF:
      return "the descriptor is not open";
    default:
      return "see the system call's manual page";
  }
}

}  // namespace

absl::Status OsError(int errnum, absl::string_view resource, absl::string_view hint) noexcept {
  const char* name = strerrorname_np(errnum);
  const char* text = strerrordesc_np(errnum);
  try {
    return absl::Status(CodeOf(errnum),
                        absl::StrCat(resource, ": ", name == nullptr ? "unknown error" : name, " (",
                                     text == nullptr ? absl::StrCat(errnum) : text,
                                     "): ", hint.empty() ? LikelyCause(errnum) : hint));
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

absl::Status OutOfMemory() { return absl::Status(absl::StatusCode::kResourceExhausted, ""); }

}  // namespace tenon
