#include "tenon/conformance/runner/runner.h"

#include <poll.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tenon/conformance/runner/rule_process.h"
#include "tenon/conformance/runner/verdict.h"

namespace tenon::conformance {
namespace {

// How soon an interrupt is noticed that came just before a wait.
constexpr std::chrono::milliseconds kInterruptLatency{200};

// As a shell reads it.
std::string Quoted(std::string_view name) {
  const bool plain = name.find_first_of("()*? ") == std::string_view::npos;
  return plain ? std::string(name) : absl::StrCat("'", name, "'");
}

// One rule of one subject, by position.
struct Task {
  size_t subject = 0;
  size_t rule = 0;
};

struct Running {
  Task task;
  std::unique_ptr<RuleProcess> process;
};

class Supervisor {
 public:
  Supervisor(const std::vector<Subject>& subjects, const RunOptions& options)
      : subjects_(subjects), options_(options) {
    report_.host = ThisHost();
    for (size_t i = 0; i < subjects.size(); ++i) {
      report_.subjects.push_back({subjects[i].name, subjects[i].facet, {}});
      report_.subjects.back().rules.resize(subjects[i].rules.size());
      for (size_t j = 0; j < subjects[i].rules.size(); ++j) tasks_.push_back({i, j});
    }
  }

  absl::StatusOr<Report> Run() {
    if (tasks_.empty()) return absl::InvalidArgumentError("no rule to run");
    while (next_ < tasks_.size() || !running_.empty()) {
      if (options_.interrupted != nullptr && *options_.interrupted) {
        return absl::CancelledError("interrupted");
      }
      const absl::Status started = StartMore();
      if (!started.ok()) return started;
      Wait();
      Collect();
    }
    return std::move(report_);
  }

 private:
  absl::Status StartMore() {
    const size_t jobs = std::max(options_.jobs, 1);
    while (running_.size() < jobs && next_ < tasks_.size()) {
      const Task task = tasks_[next_++];
      const Subject& subject = subjects_[task.subject];
      auto process = RuleProcess::Start({.facet = subject.facet,
                                         .subject = subject.name,
                                         .rule = std::string(RuleOf(task).id),
                                         .seed = options_.seed},
                                        options_.timeout);
      if (!process.ok()) return process.status();
      running_.push_back({task, *std::move(process)});
      Notify(task, nullptr);
    }
    return absl::OkStatus();
  }

  void Wait() {
    std::vector<pollfd> polled;
    auto next = RuleProcess::Clock::now() + std::chrono::hours(1);
    if (options_.interrupted != nullptr) next = RuleProcess::Clock::now() + kInterruptLatency;
    for (const Running& running : running_) {
      for (const int fd : {running.process->report_fd(), running.process->output_fd(),
                           running.process->process_fd()}) {
        polled.push_back({fd, POLLIN, 0});
      }
      next = std::min(next, running.process->deadline());
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(next - RuleProcess::Clock::now(), RuleProcess::Clock::duration::zero()));
    poll(polled.data(), polled.size(), static_cast<int>(wait.count()));
  }

  void Collect() {
    for (Running& running : running_) {
      running.process->Read();
      if (running.process->Finished()) {
        Finish(running);
      } else {
        running.process->CheckDeadline();
      }
    }
    std::erase_if(running_, [](const Running& running) { return running.process == nullptr; });
  }

  void Finish(Running& running) {
    const Subject& subject = subjects_[running.task.subject];
    const Rule& rule = RuleOf(running.task);
    Judgement judgement =
        ApplyKnownFailures(Judge(running.process->evidence()), rule, subject.known_failures);
    RuleResult& result = report_.subjects[running.task.subject].rules[running.task.rule];
    result = {.rule = &rule,
              .verdict = judgement.verdict,
              .milliseconds = running.process->milliseconds(),
              .detail = std::move(judgement.detail),
              .replay = absl::StrCat(options_.replay_program, " --rule=", rule.id, " --subject=",
                                     Quoted(subject.name), " --seed=", options_.seed)};
    running.process.reset();
    ++done_;
    if (result.verdict == Verdict::kFail) ++failed_;
    Notify(running.task, &result);
  }

  void Notify(const Task& task, const RuleResult* result) const {
    if (!options_.progress) return;
    options_.progress({.done = done_,
                       .total = tasks_.size(),
                       .failed = failed_,
                       .current = absl::StrCat(subjects_[task.subject].name, " ", RuleOf(task).id),
                       .subject = &report_.subjects[task.subject],
                       .result = result});
  }

  const Rule& RuleOf(const Task& task) const {
    return *subjects_[task.subject].rules[task.rule].rule;
  }

  const std::vector<Subject>& subjects_;
  const RunOptions& options_;
  Report report_;
  std::vector<Task> tasks_;
  size_t next_ = 0;
  std::vector<Running> running_;
  size_t done_ = 0;
  size_t failed_ = 0;
};

}  // namespace

absl::StatusOr<Report> RunSubjects(const std::vector<Subject>& subjects,
                                   const RunOptions& options) {
  return Supervisor(subjects, options).Run();
}

int DefaultJobs() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

}  // namespace tenon::conformance
