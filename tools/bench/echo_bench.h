// `bench echo` and `bench accept`: what an echoed message, and a short connection, cost the server.

#ifndef TENON_TOOLS_BENCH_ECHO_BENCH_H_
#define TENON_TOOLS_BENCH_ECHO_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"

namespace tenon::bench {

struct EchoPlan {
  // Of the benchmark, in the report.
  std::string name = "echo";
  // What the client does with a connection that has had its echo: kReconnect for `bench accept`.
  AfterEcho after_echo = AfterEcho::kSendNext;
  // Never empty.
  std::vector<EchoSubject> subjects;
  // Cases: how many connections are open at a time.
  std::vector<int> connections;
  // Of one subject in one round, before and while it is measured.
  int64_t warm_up_ns = 0;
  int64_t window_ns = 0;
  RunPlan run;
};

// Server and client have a processor each; the calling thread stays restricted to the client's.
//
// REQUIRES: the process has one thread, SIGINT and SIGTERM blocked if `run.cancel_fd` stands for
// them. The report lacks the host. Errors are those of RunRounds. Whatever is returned, no process
// is left.
absl::StatusOr<Report> RunEcho(const EchoPlan& plan);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_BENCH_H_
