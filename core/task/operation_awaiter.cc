#include "tenon/core/task/operation_awaiter.h"

#include "absl/strings/string_view.h"
#include "tenon/core/loop/os_error.h"

namespace tenon {
namespace {

absl::string_view LikelyCause(int errnum) {
  switch (errnum) {
    case EBADF:
      return "the handle is stale, because it was closed, or the descriptor was opened for the "
             "other direction";
    case ECONNREFUSED:
      return "nothing listens at the address";
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return "the peer closed the connection";
    case ENOTCONN:
      return "the socket was not connected, or is no more";
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "the peer cannot be reached; see the route and the firewalls on it";
    case ENOENT:
      return "there is no such file, or a directory in its path is missing";
    case EEXIST:
      return "it exists already";
    case EACCES:
    case EPERM:
      return "the process lacks the permission";
    case ENOSPC:
    case EDQUOT:
      return "the file system, or the quota on it, is full";
    case EAGAIN:
      return "it cannot be done now: the backlog of a local listener is full, or a side of a "
             "Splice "
             "kept changing; try again later";
    case EOPNOTSUPP:
      return "the backend does not declare the capability, or the descriptor has no such "
             "operation; see Loop::capabilities()";
    case ESPIPE:
      return "it cannot seek; use kCurrentOffset";
    case ENOTSOCK:
      return "the handle is no socket";
    default:
      return {};
  }
}

}  // namespace

absl::Status OperationError(Opcode opcode, int32_t result) {
  switch (-result) {
    case ECANCELED:
      return absl::Status(absl::StatusCode::kCancelled, "");
    case ENOMEM:
    case ENOBUFS:
      return OutOfMemory();
    default:
      return OsError(-result, OpcodeName(opcode), LikelyCause(-result));
  }
}

}  // namespace tenon
