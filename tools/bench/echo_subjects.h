// The echo servers that are measured, as a table.
//
// Every one does the same: it accepts whatever comes, sets TCP_NODELAY, reads up to kEchoBufferSize
// bytes into a buffer of the connection, writes them back, and reads again when they are gone. Each
// is written as somebody who knows the library well would write it.

#ifndef TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_
#define TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::bench {

// Size of the buffer of one connection.
inline constexpr size_t kEchoBufferSize = 64 * 1024;

struct EchoSubject {
  const char* name = nullptr;
  // What it is, in a few words.
  const char* description = nullptr;
  // Ours is compared with everything that is not.
  bool ours = false;
  // Library that it stands for and how to learn its version; both null where there is none.
  const char* library = nullptr;
  std::string (*version)() = nullptr;
  // OK, or why it cannot run on this machine or in this binary; null if it always can.
  absl::Status (*probe)() = nullptr;
  // Serves `listen_fd`, a non-blocking listening TCP socket, on the calling thread, and returns
  // only on an error of its own: it is ended by a signal. An error of one connection ends that
  // connection. Runs in a process of its own, with SIGPIPE ignored; that process exits when this
  // returns, so `listen_fd` may be closed or left open.
  absl::Status (*serve)(int listen_fd) = nullptr;
};

// All subjects, ours first.
absl::Span<const EchoSubject> EchoSubjects();

// Their names, in the order of the table.
std::vector<absl::string_view> EchoSubjectNames();

absl::Status ServeTenonEpoll(int listen_fd);
absl::Status ProbeTenonEpoll();

absl::Status ServeRawEpoll(int listen_fd);

absl::Status ServeLibuv(int listen_fd);
std::string LibuvVersion();

absl::Status ServeAsio(int listen_fd);
std::string AsioVersion();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_SUBJECTS_H_
