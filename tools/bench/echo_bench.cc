// The rounds of `bench echo`, and what they come to.

#include "tenon/tools/bench/echo_bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/server_process.h"

namespace tenon::bench {
namespace {

constexpr char kBench[] = "echo";

// A server that had its processor for less than this share of the window was waiting for the
// client: then the number of messages a second is not the server's.
constexpr double kSaturated = 0.95;

// Above this share of the window, another process has visibly disturbed the server.
constexpr double kDisplaced = 0.03;

// Descriptors of a process besides its connections.
constexpr rlim_t kOtherDescriptors = 64;

std::string CaseName(int connections) { return absl::StrCat("conns=", connections); }

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

EchoSample MakeSample(const EchoLoad& load, const CpuTime& before, const CpuTime& after) {
  const auto requests = static_cast<double>(load.requests);
  const auto cpu_ns = static_cast<double>(after.total_ns - before.total_ns);
  const auto wall_ns = static_cast<double>(load.wall_ns);
  return {
      .cpu_ns = cpu_ns / requests,
      .user_ticks = static_cast<double>(after.user_ticks - before.user_ticks),
      .system_ticks = static_cast<double>(after.system_ticks - before.system_ticks),
      .requests_per_second = requests * 1e9 / wall_ns,
      .server_busy = cpu_ns / wall_ns,
      .server_displaced = static_cast<double>(after.displaced_ns - before.displaced_ns) / wall_ns};
}

absl::StatusOr<EchoSample> Drive(const EchoPlan& plan, const ServerProcess& server,
                                 int connections) {
  absl::StatusOr<std::unique_ptr<EchoClient>> client =
      EchoClient::Connect(server.port(), connections, plan.cancel_fd);
  if (!client.ok()) return client.status();
  absl::StatusOr<EchoLoad> load = (*client)->Run(plan.warm_up_ns);
  if (!load.ok()) return load.status();
  absl::StatusOr<CpuTime> before = server.ReadCpuTime();
  if (!before.ok()) return before.status();
  load = (*client)->Run(plan.window_ns);
  if (!load.ok()) return load.status();
  absl::StatusOr<CpuTime> after = server.ReadCpuTime();
  if (!after.ok()) return after.status();
  if (load->requests == 0) {
    return absl::DeadlineExceededError("no message came back within the measured time");
  }
  return MakeSample(*load, *before, *after);
}

absl::StatusOr<EchoSample> MeasureOnce(const EchoPlan& plan, const EchoSubject& subject,
                                       int connections, int server_cpu) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> server =
      ServerProcess::Start(subject.serve, server_cpu);
  if (!server.ok()) return server.status();
  absl::StatusOr<EchoSample> sample = Drive(plan, **server, connections);
  if (sample.ok() || absl::IsCancelled(sample.status())) return sample;
  return absl::Status(sample.status().code(),
                      absl::StrCat("subject ", subject.name, ", ", CaseName(connections), ": ",
                                   sample.status().message(), "; its server ", (*server)->Stop()));
}

// Which share of the server's CPU time was spent in user mode, over all rounds, from 0 to 1.
double UserShare(const EchoSeries& series) {
  double user = 0;
  double all = 0;
  for (const EchoSample& sample : series.samples) {
    user += sample.user_ticks;
    all += sample.user_ticks + sample.system_ticks;
  }
  return all > 0 ? user / all : 0;
}

// Adds a result that is `factor` times `value` of each sample.
absl::Status AddResult(const EchoSeries& series, const std::string& case_name, const char* metric,
                       const char* unit, double EchoSample::*value, double factor, Report& report) {
  std::vector<double> values;
  for (const EchoSample& sample : series.samples) values.push_back(sample.*value * factor);
  absl::StatusOr<Summary> summary = Summarize(std::move(values));
  if (!summary.ok()) return summary.status();
  report.results.push_back({.bench = kBench,
                            .case_name = case_name,
                            .subject = series.subject,
                            .metric = metric,
                            .unit = unit,
                            .summary = *summary});
  return absl::OkStatus();
}

absl::Status AddResults(const EchoSeries& series, const std::string& case_name, Report& report) {
  const double user = UserShare(series);
  const auto add_cpu = [&](const char* metric, double share) {
    return AddResult(series, case_name, metric, "ns", &EchoSample::cpu_ns, share, report);
  };
  absl::Status status = add_cpu("cpu_per_op", 1);
  if (status.ok()) status = add_cpu("user_cpu_per_op", user);
  if (status.ok()) status = add_cpu("sys_cpu_per_op", 1 - user);
  if (!status.ok()) return status;
  return AddResult(series, case_name, "throughput", "op/s", &EchoSample::requests_per_second, 1,
                   report);
}

double Median(const EchoSeries& series, double EchoSample::*value) {
  std::vector<double> values;
  for (const EchoSample& sample : series.samples) values.push_back(sample.*value);
  absl::StatusOr<Summary> summary = Summarize(std::move(values));
  return summary.ok() ? summary->median : 0;
}

// Whether the throughput of a series is that of its server.
bool IsServerBound(const EchoSeries& series) {
  return Median(series, &EchoSample::server_busy) >= kSaturated;
}

// `name 37 %` for each series for which `applies`.
std::string Shares(const std::vector<EchoSeries>& all, double EchoSample::*value,
                   bool (*applies)(const EchoSeries&)) {
  std::vector<std::string> shares;
  for (const EchoSeries& series : all) {
    if (!applies(series)) continue;
    shares.push_back(absl::StrFormat("%s %.0f %%", series.subject, Median(series, value) * 100));
  }
  return absl::StrJoin(shares, ", ");
}

// Says of which figures of a case a reader should beware.
void AddNotes(int connections, const std::vector<EchoSeries>& all, Report& report) {
  const std::string displaced =
      Shares(all, &EchoSample::server_displaced, [](const EchoSeries& series) {
        return Median(series, &EchoSample::server_displaced) > kDisplaced;
      });
  if (!displaced.empty()) {
    report.notes.push_back(absl::StrCat("echo ", CaseName(connections),
                                        ": other processes took the server's processor for part of "
                                        "the time (",
                                        displaced,
                                        "): all its figures are noisy; repeat on an idle machine"));
  }
  const std::string idle = Shares(all, &EchoSample::server_busy,
                                  [](const EchoSeries& series) { return !IsServerBound(series); });
  if (idle.empty()) return;
  report.notes.push_back(
      absl::StrCat("echo ", CaseName(connections),
                   ": throughput is not the server's where the server was not "
                   "busy all the time (busy: ",
                   idle, "): ",
                   connections == 1     ? "with one message underway it is that of the round trip"
                   : !displaced.empty() ? "the client was the bottleneck, or other processes were"
                                        : "the client was the bottleneck",
                   "; such throughput is in no ratio. cpu_per_op does not depend on it."));
}

}  // namespace

absl::Status AddEchoCase(int connections, const std::vector<EchoSeries>& all, bool own_cpus,
                         Report& report) {
  const std::string case_name = CaseName(connections);
  for (const EchoSeries& series : all) {
    absl::Status status = AddResults(series, case_name, report);
    if (!status.ok()) return status;
  }
  for (const EchoSeries& ours : all) {
    for (const EchoSeries& peer : all) {
      if (!ours.ours || peer.ours) continue;
      absl::Status status =
          AddRatio(report, kBench, case_name, ours.subject, peer.subject, "cpu_per_op");
      if (status.ok() && own_cpus && IsServerBound(ours) && IsServerBound(peer)) {
        status = AddRatio(report, kBench, case_name, ours.subject, peer.subject, "throughput");
      }
      if (!status.ok()) return status;
    }
  }
  if (own_cpus) AddNotes(connections, all, report);
  return absl::OkStatus();
}

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

  const size_t subjects = plan.subjects.size();
  std::vector<std::vector<EchoSeries>> cases(plan.connections.size());
  for (std::vector<EchoSeries>& series : cases) {
    for (const EchoSubject& subject : plan.subjects) {
      series.push_back({.subject = subject.name, .ours = subject.ours, .samples = {}});
    }
  }
  for (size_t round = 0; round < static_cast<size_t>(plan.rounds); ++round) {
    for (size_t c = 0; c < cases.size(); ++c) {
      for (size_t turn = 0; turn < subjects; ++turn) {
        const size_t s = (round + turn) % subjects;
        if (plan.progress) {
          plan.progress(absl::StrCat("round ", round + 1, "/", plan.rounds, "  ",
                                     CaseName(plan.connections[c]), "  ", plan.subjects[s].name));
        }
        absl::StatusOr<EchoSample> sample =
            MeasureOnce(plan, plan.subjects[s], plan.connections[c], cpus->front());
        if (!sample.ok()) return sample.status();
        cases[c][s].samples.push_back(*sample);
      }
    }
  }

  Report report;
  for (size_t c = 0; c < cases.size(); ++c) {
    status = AddEchoCase(plan.connections[c], cases[c], own_cpus, report);
    if (!status.ok()) return status;
  }
  if (!own_cpus) {
    report.notes.push_back(
        "echo: client and server shared the one processor there is: throughput is in no ratio, and "
        "cpu_per_op is higher than with a processor each");
  }
  return report;
}

}  // namespace tenon::bench
