#include "tenon/tools/bench/echo_bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/server_process.h"

namespace tenon::bench {
namespace {

// Descriptors of a process besides its connections.
constexpr rlim_t kOtherDescriptors = 64;

// Servers inherit the limit.
absl::Status RaiseDescriptorLimit(int connections) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::ErrnoToStatus(errno, "getrlimit");
  const rlim_t needed = static_cast<rlim_t>(connections) + kOtherDescriptors;
  if (limit.rlim_cur >= needed) return absl::OkStatus();
  if (limit.rlim_max < needed) {
    return absl::FailedPreconditionError(absl::StrCat(
        connections, " connections need ", needed, " descriptors, and this process may have ",
        limit.rlim_max, ": raise the limit (ulimit -Hn) or ask for fewer with --connections"));
  }
  limit.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::ErrnoToStatus(errno, "setrlimit");
  return absl::OkStatus();
}

Figures MakeFigures(const EchoLoad& load, const CpuTime& before, const CpuTime& after) {
  return {.operations = load.requests,
          .wall_ns = load.wall_ns,
          .cpu_ns = after.total_ns - before.total_ns,
          .user_part = after.user_ticks - before.user_ticks,
          .system_part = after.system_ticks - before.system_ticks,
          .displaced_ns = after.displaced_ns - before.displaced_ns,
          .p50_ns = load.latency->Percentile(0.5),
          .p99_ns = load.latency->Percentile(0.99),
          .p999_ns = load.latency->Percentile(0.999)};
}

absl::StatusOr<Figures> Drive(const EchoPlan& plan, ServerProcess& server, int connections) {
  absl::StatusOr<std::unique_ptr<EchoClient>> client =
      EchoClient::Connect(server.port(), connections, plan.after_echo, plan.run.cancel_fd);
  if (!client.ok()) return client.status();
  absl::StatusOr<EchoLoad> load = (*client)->Run(plan.warm_up_ns);
  if (!load.ok()) return load.status();
  const int64_t calls_before = server.process().system_calls();
  absl::StatusOr<CpuTime> before = server.process().ReadCpuTime();
  if (!before.ok()) return before.status();
  load = (*client)->Run(plan.window_ns);
  if (!load.ok()) return load.status();
  absl::StatusOr<CpuTime> after = server.process().ReadCpuTime();
  if (!after.ok()) return after.status();
  Figures figures = MakeFigures(*load, *before, *after);
  figures.system_calls = server.process().system_calls() - calls_before;
  return figures;
}

absl::StatusOr<std::vector<Figures>> MeasureOnce(const EchoPlan& plan, const EchoSubject& subject,
                                                 int connections, const ChildOptions& options) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> server =
      ServerProcess::Start(subject.serve, options);
  if (!server.ok()) return server.status();
  absl::StatusOr<Figures> figures = Drive(plan, **server, connections);
  if (figures.ok()) return std::vector<Figures>{*figures};
  if (absl::IsCancelled(figures.status())) return figures.status();
  return absl::Status(
      figures.status().code(),
      absl::StrCat(figures.status().message(), "; its server ", (*server)->process().Stop()));
}

std::vector<CaseGroup> MakeGroups(const EchoPlan& plan, bool own_cpus) {
  std::vector<CaseGroup> groups;
  for (int connections : plan.connections) {
    Case one = {.name = absl::StrCat("conns=", connections),
                .throughput = own_cpus ? ThroughputRatio::kIfBusy : ThroughputRatio::kNever,
                .idle_means = connections == 1
                                  ? "with one request underway it is that of the round trip"
                                  : "the client was the bottleneck"};
    std::string name = one.name;
    groups.push_back({.name = std::move(name), .cases = {std::move(one)}});
  }
  return groups;
}

}  // namespace

absl::StatusOr<Report> RunEcho(const EchoPlan& plan) {
  absl::StatusOr<std::vector<int>> cpus = AllowedCpus();
  if (!cpus.ok()) return cpus.status();
  const bool own_cpus = cpus->front() != cpus->back();
  absl::Status status = PinToCpu(cpus->back());
  if (status.ok()) {
    status =
        RaiseDescriptorLimit(*std::max_element(plan.connections.begin(), plan.connections.end()));
  }
  if (!status.ok()) return status;

  std::vector<Participant> participants;
  for (const EchoSubject& subject : plan.subjects) {
    participants.push_back({.name = subject.subject.name, .ours = subject.subject.ours});
  }
  absl::StatusOr<Report> report = RunRounds(
      plan.name, plan.run, MakeGroups(plan, own_cpus), participants,
      [&](size_t group, size_t subject, Pass pass) {
        const ChildOptions options = {.cpu = cpus->front(),
                                      .count_system_calls = pass == Pass::kCounted};
        return MeasureOnce(plan, plan.subjects[subject], plan.connections[group], options);
      });
  if (report.ok() && !own_cpus) {
    report->notes.push_back(absl::StrCat(
        plan.name,
        ": client and server shared the one processor there is: throughput is in no ratio, and "
        "cpu_per_op is higher than with a processor each"));
  }
  return report;
}

}  // namespace tenon::bench
