#include "tenon/conformance/differential/shrink.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tenon::conformance::differential {
namespace {

class Shrinker {
 public:
  Shrinker(Script script, absl::FunctionRef<bool(const Script&)> fails, const ShrinkLimits& limits)
      : script_(std::move(script)),
        fails_(fails),
        runs_left_(limits.runs),
        deadline_(Clock::now() + limits.time) {}

  Script Run() {
    bool shorter = true;
    while (shorter && !Exhausted()) {
      const size_t before = script_.size();
      RemoveChunks();
      const bool simpler = SimplifyArguments();
      shorter = script_.size() < before || simpler;
    }
    return std::move(script_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool Exhausted() const { return runs_left_ <= 0 || Clock::now() >= deadline_; }

  // Takes the candidate if it still fails.
  bool Try(Script candidate) {
    if (Exhausted()) return false;
    --runs_left_;
    if (!fails_(candidate)) return false;
    script_ = std::move(candidate);
    return true;
  }

  // From the end, since what comes after the failure goes at once.
  void RemoveChunks() {
    for (size_t size = std::max<size_t>(script_.size() / 2, 1); size > 0; size /= 2) {
      size_t end = script_.size();
      while (end > 0 && !Exhausted()) {
        const size_t begin = end - std::min(end, size);
        Script candidate = script_;
        candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(begin),
                        candidate.begin() + static_cast<std::ptrdiff_t>(end));
        Try(std::move(candidate));
        end = begin;
      }
    }
  }

  bool SimplifyArguments() {
    bool any = false;
    for (size_t i = 0; i < script_.size(); ++i) {
      const size_t count = SpecOf(script_[i].verb).parameters.size();
      for (size_t argument = 0; argument < count; ++argument) {
        any = Simplify(i, argument) || any;
      }
    }
    return any;
  }

  // Tries the simplest value first, and then what is half way there.
  bool Simplify(size_t step, size_t argument) {
    const ArgumentType type = SpecOf(script_[step].verb).parameters[argument].type;
    // Names mean what they name.
    if (type == ArgumentType::kHandle || type == ArgumentType::kOperation) return false;
    bool any = false;
    int64_t lowest = 0;
    while (script_[step].arguments[argument] > lowest && !Exhausted()) {
      Script candidate = script_;
      candidate[step].arguments[argument] = lowest;
      if (Try(std::move(candidate))) return true;
      const int64_t value = script_[step].arguments[argument];
      // Choices have no order.
      if (type == ArgumentType::kChoice || value - lowest <= 1) return any;
      candidate = script_;
      candidate[step].arguments[argument] = lowest + (value - lowest) / 2;
      if (!Try(std::move(candidate))) return any;
      any = true;
    }
    return any;
  }

  Script script_;
  const absl::FunctionRef<bool(const Script&)> fails_;
  int runs_left_;
  const Clock::time_point deadline_;
};

}  // namespace

Script Shrink(Script script, absl::FunctionRef<bool(const Script&)> fails,
              const ShrinkLimits& limits) {
  return Shrinker(std::move(script), fails, limits).Run();
}

}  // namespace tenon::conformance::differential
