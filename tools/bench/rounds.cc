#include "tenon/tools/bench/rounds.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/series.h"

namespace tenon::bench {
namespace {

class Rounds {
 public:
  Rounds(const RunPlan& plan, const std::vector<CaseGroup>& groups,
         const std::vector<Participant>& subjects, Measure measure)
      : plan_(plan), groups_(groups), subjects_(subjects), measure_(measure) {
    for (const CaseGroup& group : groups_) {
      std::vector<std::vector<Series>> cases(group.cases.size());
      for (std::vector<Series>& series : cases) {
        for (const Participant& subject : subjects_) {
          series.push_back({.subject = subject.name, .ours = subject.ours});
        }
      }
      series_.push_back(std::move(cases));
    }
  }

  absl::Status MeasureAll() {
    for (size_t round = 0; round < static_cast<size_t>(plan_.rounds); ++round) {
      for (size_t group = 0; group < groups_.size(); ++group) {
        for (size_t turn = 0; turn < subjects_.size(); ++turn) {
          const size_t subject = (round + turn) % subjects_.size();
          ShowProgress(absl::StrCat("round ", round + 1, "/", plan_.rounds), group, subject);
          absl::StatusOr<std::vector<Figures>> figures = MeasureOnce(group, subject, Pass::kTimed);
          if (!figures.ok()) return figures.status();
          for (size_t i = 0; i < figures->size(); ++i) {
            series_[group][i][subject].rounds.push_back((*figures)[i]);
          }
        }
      }
    }
    return absl::OkStatus();
  }

  // Cancelled, or OK: what goes wrong is a note.
  absl::Status CountAll(absl::string_view bench, std::vector<std::string>& notes) {
    for (size_t group = 0; group < groups_.size(); ++group) {
      for (size_t subject = 0; subject < subjects_.size(); ++subject) {
        ShowProgress("system calls", group, subject);
        absl::StatusOr<std::vector<Figures>> figures = MeasureOnce(group, subject, Pass::kCounted);
        if (absl::IsCancelled(figures.status())) return figures.status();
        if (!figures.ok()) {
          notes.push_back(
              absl::StrCat(bench, ": system calls are not counted: ", figures.status().message()));
          return absl::OkStatus();
        }
        for (size_t i = 0; i < figures->size(); ++i) {
          series_[group][i][subject].counted = (*figures)[i];
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddTo(absl::string_view bench, Report& report) const {
    for (size_t group = 0; group < groups_.size(); ++group) {
      for (size_t i = 0; i < groups_[group].cases.size(); ++i) {
        absl::Status status = AddCase(bench, groups_[group].cases[i], series_[group][i], report);
        if (!status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  void ShowProgress(absl::string_view what, size_t group, size_t subject) const {
    if (!plan_.progress) return;
    plan_.progress(absl::StrCat(what, "  ", groups_[group].name, "  ", subjects_[subject].name));
  }

  absl::StatusOr<std::vector<Figures>> MeasureOnce(size_t group, size_t subject, Pass pass) {
    absl::StatusOr<std::vector<Figures>> figures = measure_(group, subject, pass);
    absl::Status status = figures.status();
    if (status.ok()) status = Check(*figures, groups_[group]);
    if (status.ok() || absl::IsCancelled(status)) return figures;
    return absl::Status(status.code(), absl::StrCat("subject ", subjects_[subject].name, ", ",
                                                    groups_[group].name, ": ", status.message()));
  }

  static absl::Status Check(const std::vector<Figures>& figures, const CaseGroup& group) {
    if (figures.size() != group.cases.size()) {
      return absl::InternalError(
          absl::StrCat("it measured ", figures.size(), " cases of ", group.cases.size()));
    }
    for (const Figures& each : figures) {
      if (each.operations > 0 && each.wall_ns > 0) continue;
      return absl::DeadlineExceededError("nothing was done within the measured time");
    }
    return absl::OkStatus();
  }

  const RunPlan& plan_;
  const std::vector<CaseGroup>& groups_;
  const std::vector<Participant>& subjects_;
  const Measure measure_;
  // By group, case of the group, subject.
  std::vector<std::vector<std::vector<Series>>> series_;
};

}  // namespace

absl::StatusOr<Report> RunRounds(absl::string_view bench, const RunPlan& plan,
                                 const std::vector<CaseGroup>& groups,
                                 const std::vector<Participant>& subjects, Measure measure) {
  Rounds rounds(plan, groups, subjects, measure);
  Report report;
  std::vector<std::string> notes;
  absl::Status status = rounds.MeasureAll();
  if (status.ok() && plan.count_system_calls) status = rounds.CountAll(bench, notes);
  if (status.ok()) status = rounds.AddTo(bench, report);
  if (!status.ok()) return status;
  report.notes.insert(report.notes.end(), notes.begin(), notes.end());
  return report;
}

}  // namespace tenon::bench
