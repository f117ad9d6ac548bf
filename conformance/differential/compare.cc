#include "tenon/conformance/differential/compare.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tenon/conformance/differential/nondeterminism.h"

namespace tenon::conformance::differential {
namespace {

bool DeliversBytes(Verb verb) {
  return verb == Verb::kRecv || verb == Verb::kRecvMsg || verb == Verb::kRead;
}

// Of one operation in one phase, with the tolerances applied.
using Completions = std::vector<Completion>;

// descriptor-number.
void ForgetDescriptor(Completion& completion) {
  const bool makes_descriptor =
      completion.verb == Verb::kAccept || completion.verb == Verb::kOpenAt;
  if (makes_descriptor && completion.result >= 0) completion.result = 0;
}

// raced-cancel: the executor observes what became of the bytes.
bool IsEitherOfRace(const Completion& completion) {
  return completion.raced && DeliversBytes(completion.verb) &&
         (completion.result >= 0 || completion.result == -ECANCELED);
}

// multishot-chunks.
bool Continues(const Completions& completions, const Completion& next) {
  return !completions.empty() && completions.back().more && next.more && next.verb == Verb::kRecv &&
         completions.back().result > 0 && next.result > 0;
}

std::map<int64_t, Completions> ByOperation(const Phase& phase) {
  std::map<int64_t, Completions> operations;
  for (Completion completion : phase.completions) {
    ForgetDescriptor(completion);
    if (IsEitherOfRace(completion)) continue;
    Completions& completions = operations[completion.operation];
    if (Continues(completions, completion)) {
      completions.back().result += completion.result;
      completions.back().content += completion.content;
    } else {
      completions.push_back(std::move(completion));
    }
  }
  return operations;
}

// order-between-lanes, order-of-cancelled: the order of what is left.
std::map<std::string, std::vector<std::string>> ByLane(const Phase& phase) {
  std::map<std::string, std::vector<std::string>> lanes;
  for (const Completion& completion : phase.completions) {
    if (completion.lane.empty() || completion.more || IsEitherOfRace(completion)) continue;
    if (completion.result == -ECANCELED) continue;
    lanes[completion.lane].push_back(absl::StrCat("o", completion.operation));
  }
  return lanes;
}

std::string Text(const Completions* completions) {
  if (completions == nullptr) return "nothing";
  return absl::StrJoin(*completions, "; ", [](std::string* out, const Completion& completion) {
    absl::StrAppend(out, CompletionText(completion));
  });
}

class Comparison {
 public:
  Comparison(std::string_view first_name, std::string_view second_name)
      : first_name_(first_name), second_name_(second_name) {}

  std::optional<std::string> Phases(const Phase& first, const Phase& second) const {
    if (auto text = Operations(first, second); text.has_value()) return text;
    if (auto text = Lanes(first, second); text.has_value()) return text;
    return Observations(first, second);
  }

  std::string Differ(std::string_view first, std::string_view second) const {
    return absl::StrCat(first_name_, ": ", first, "; ", second_name_, ": ", second);
  }

 private:
  std::optional<std::string> Operations(const Phase& first, const Phase& second) const {
    const std::map<int64_t, Completions> ours = ByOperation(first);
    const std::map<int64_t, Completions> theirs = ByOperation(second);
    std::map<int64_t, std::pair<const Completions*, const Completions*>> both;
    for (const auto& [operation, completions] : ours) both[operation].first = &completions;
    for (const auto& [operation, completions] : theirs) both[operation].second = &completions;
    for (const auto& [operation, pair] : both) {
      const bool same =
          pair.first != nullptr && pair.second != nullptr && *pair.first == *pair.second;
      if (!same) return Differ(Text(pair.first), Text(pair.second));
    }
    return std::nullopt;
  }

  std::optional<std::string> Lanes(const Phase& first, const Phase& second) const {
    const auto ours = ByLane(first);
    const auto theirs = ByLane(second);
    // Both have the same operations by now.
    for (const auto& [lane, order] : ours) {
      const auto found = theirs.find(lane);
      if (found == theirs.end() || found->second == order) continue;
      return absl::StrCat("in order of ", lane, ", ",
                          Differ(absl::StrJoin(order, " "), absl::StrJoin(found->second, " ")));
    }
    return std::nullopt;
  }

  std::optional<std::string> Observations(const Phase& first, const Phase& second) const {
    const size_t count = std::max(first.observations.size(), second.observations.size());
    for (size_t i = 0; i < count; ++i) {
      const auto at = [i](const Phase& phase) {
        return i < phase.observations.size() ? phase.observations[i] : std::string("nothing");
      };
      if (at(first) != at(second)) return Differ(at(first), at(second));
    }
    return std::nullopt;
  }

  const std::string_view first_name_;
  const std::string_view second_name_;
};

// Phases that are whole.
size_t WholePhases(const History& history) {
  const size_t count = history.phases.size();
  return history.end.empty() || count == 0 ? count : count - 1;
}

}  // namespace

std::optional<Difference> FindViolation(std::string_view name, const History& history) {
  if (!history.violations.empty()) {
    return Difference{.phase = 0, .text = absl::StrCat(name, ": ", history.violations.front())};
  }
  if (history.end.empty()) return std::nullopt;
  return Difference{.phase = history.phases.size(), .text = absl::StrCat(name, ": ", history.end)};
}

std::optional<Difference> Compare(std::string_view first_name, const History& first,
                                  std::string_view second_name, const History& second) {
  const Comparison comparison(first_name, second_name);
  const size_t whole = std::min(WholePhases(first), WholePhases(second));
  for (size_t i = 0; i < whole; ++i) {
    const auto text = comparison.Phases(first.phases[i], second.phases[i]);
    if (text.has_value()) return Difference{.phase = i + 1, .text = *text};
  }
  const auto end = [](const History& history) {
    return history.end.empty() ? std::string("complete") : history.end;
  };
  if (first.end != second.end) {
    return Difference{.phase = whole + 1, .text = comparison.Differ(end(first), end(second))};
  }
  if (auto violation = FindViolation(first_name, first); violation.has_value()) return violation;
  if (auto violation = FindViolation(second_name, second); violation.has_value()) return violation;
  if (first.phases.size() == second.phases.size()) return std::nullopt;
  return Difference{.phase = whole + 1,
                    .text = comparison.Differ(absl::StrCat(first.phases.size(), " phases"),
                                              absl::StrCat(second.phases.size(), " phases"))};
}

}  // namespace tenon::conformance::differential
