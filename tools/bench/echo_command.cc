#include "tenon/tools/bench/echo_command.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/echo_bench.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {
namespace {

// What distinguishes the two.
struct Variant {
  const char* name;
  const char* summary;
  AfterEcho after_echo;
  std::vector<int> connections;
};

std::vector<Subject> SubjectsOf(const std::vector<EchoSubject>& all) {
  std::vector<Subject> subjects;
  for (const EchoSubject& each : all) subjects.push_back(each.subject);
  return subjects;
}

absl::StatusOr<Report> Run(const Variant& variant, const Options& options, int cancel_fd) {
  const std::vector<EchoSubject> all = EchoSubjects();
  return RunCommand(variant.name, options, SubjectsOf(all), cancel_fd,
                    [&](const std::vector<size_t>& chosen, const RunPlan& run) {
                      EchoPlan plan;
                      plan.name = variant.name;
                      plan.after_echo = variant.after_echo;
                      for (size_t i : chosen) plan.subjects.push_back(all[i]);
                      plan.connections =
                          options.connections.empty() ? variant.connections : options.connections;
                      plan.warm_up_ns = (options.quick ? 50 : 200) * kMillisecond;
                      plan.window_ns = (options.quick ? 200 : 1000) * kMillisecond;
                      plan.run = run;
                      return RunEcho(plan);
                    });
}

Command MakeCommand(Variant variant) {
  return {.name = variant.name,
          .summary = variant.summary,
          .options = {.subjects = NamesOf(SubjectsOf(EchoSubjects())),
                      .cases = {},
                      .connections = true},
          .run = [variant = std::move(variant)](const Options& options, int cancel_fd) {
            return Run(variant, options, cancel_fd);
          }};
}

}  // namespace

Command EchoCommand() {
  return MakeCommand({.name = "echo",
                      .summary = "TCP echo of 64-byte messages: what a message costs the server",
                      .after_echo = AfterEcho::kSendNext,
                      .connections = {1, 64, 512}});
}

Command AcceptCommand() {
  return MakeCommand({.name = "accept",
                      .summary = "connections that live for one echo: what each costs the server",
                      .after_echo = AfterEcho::kReconnect,
                      .connections = {1, 64}});
}

}  // namespace tenon::bench
