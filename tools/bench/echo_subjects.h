// The echo servers that are measured, as a table.
//
// Every one does the same: it accepts whatever comes, sets TCP_NODELAY, reads up to kEchoBufferSize
// bytes, writes them back, and ends a connection that its peer has ended. Each is written as
// somebody who knows the library well would write it.

#ifndef TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_
#define TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/server_process.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

// Size of the buffer of one connection, where a connection has one.
inline constexpr size_t kEchoBufferSize = 64 * 1024;

struct EchoSubject {
  Subject subject;
  // An error of one connection ends that connection. Runs in a process of its own, with SIGPIPE
  // ignored; that process exits when this returns, so the listening descriptor may be closed or
  // left open.
  Serve serve;
};

// All subjects, ours first.
std::vector<EchoSubject> EchoSubjects();

absl::Status ServeTenon(absl::string_view backend, int listen_fd);
absl::Status ServeRawEpoll(int listen_fd);
absl::Status ServeRawIoUring(int listen_fd);
absl::Status ServeLibuv(int listen_fd);
absl::Status ServeAsio(int listen_fd);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_
