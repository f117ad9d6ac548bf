// `bench echo`: what an echoed message costs the server, ours against its peers.

#ifndef TENON_TOOLS_BENCH_ECHO_BENCH_H_
#define TENON_TOOLS_BENCH_ECHO_BENCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {

struct EchoPlan {
  // Never empty.
  std::vector<EchoSubject> subjects;
  std::vector<int> connections;
  int rounds = 0;
  // Of one subject in one round, before and while it is measured.
  int64_t warm_up_ns = 0;
  int64_t window_ns = 0;
  // Ends the run as soon as it can be read; -1 is none.
  int cancel_fd = -1;
  // Told what is being measured; may be empty.
  std::function<void(absl::string_view)> progress;
};

// One subject, one case, one round.
struct EchoSample {
  // CPU time of the server per request.
  double cpu_ns = 0;
  // Its two parts, in samples of the kernel's tick over the whole window. A round has too few of
  // them to say much: a share is taken from all rounds together.
  double user_ticks = 0;
  double system_ticks = 0;
  double requests_per_second = 0;
  // Share of the window in which the server ran on its processor, from 0 to 1.
  double server_busy = 0;
  // Share in which it could have run, but something else had its processor.
  double server_displaced = 0;
};

// One subject, one case, all rounds.
struct EchoSeries {
  std::string subject;
  // Ours is compared with everything that is not.
  bool ours = false;
  std::vector<EchoSample> samples;
};

// Runs each round over every case and every subject, beginning with another subject each time, so
// that whatever changes on the machine meanwhile meets all of them alike. Server and client have a
// processor each; the calling thread stays restricted to the client's.
//
// REQUIRES: the process has one thread, SIGINT and SIGTERM blocked if `cancel_fd` stands for them.
// The report lacks the host. Cancelled if `cancel_fd` could be read; any other error says which
// subject failed and why. Whatever is returned, no process is left.
absl::StatusOr<Report> RunEcho(const EchoPlan& plan);

// Adds to `report` what one case comes to: results, ratios of ours to each peer, and a note on
// those throughputs that are not the server's, of which no ratio is made. Throughput counts only
// where the server was busy all the time and, as `own_cpus` says, client and server did not share a
// processor. InvalidArgument if a series is empty.
absl::Status AddEchoCase(int connections, const std::vector<EchoSeries>& all, bool own_cpus,
                         Report& report);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_BENCH_H_
