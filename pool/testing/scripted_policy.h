// A policy that does as it is told, and keeps books of its own.

#ifndef TENON_POOL_TESTING_SCRIPTED_POLICY_H_
#define TENON_POOL_TESTING_SCRIPTED_POLICY_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/task.h"
#include "tenon/pool/policy.h"

namespace tenon::pool {

// How a task of a policy may end.
enum class Outcome : uint8_t {
  kOk,
  kError,
  kSlow,       // OK, after kSlowNs
  kNever,      // Cancelled, once it is asked to stop
  kCancelled,  // Cancelled, though nobody has asked for it
};
inline constexpr Outcome kOutcomes[] = {Outcome::kOk, Outcome::kError, Outcome::kSlow,
                                        Outcome::kNever, Outcome::kCancelled};
inline constexpr int64_t kSlowNs = 10 * kMillisecondNs;

// What it makes: a thing of two parts, the second of which is taken after whatever takes time.
struct Thing {
  int id = 0;  // 0: none; each that is made has its own
  bool first_part = false;
  bool second_part = false;
};

// The outcomes of one stage: those that were queued, in order, then `otherwise`.
struct StageScript {
  std::deque<Outcome> next;
  Outcome otherwise = Outcome::kOk;

  Outcome Take() {
    if (next.empty()) return otherwise;
    const Outcome outcome = next.front();
    next.pop_front();
    return outcome;
  }
};

// Threads: the loop's thread.
class ScriptedPolicy final : public PoolPolicy<Thing> {
 public:
  ~ScriptedPolicy() override {
    EXPECT_TRUE(live.empty()) << live.size() << " things are orphaned";
    EXPECT_EQ(parts, 0) << "parts of things are orphaned";
  }

  Task<> Create(CreateScope& scope, Thing& thing) override {
    ++creations_begun;
    absl::Status status = scope.Defer(UndoFirst(scope, thing));
    if (!status.ok()) co_return status;
    thing.first_part = true;
    ++parts;
    status = scope.Defer(UndoSecond(scope, thing));
    if (!status.ok()) co_return status;
    thing.second_part = true;
    ++parts;
    if (before_create_ns > 0) {
      status = co_await Sleep(scope.loop(), before_create_ns);
      if (!status.ok()) co_return status;
    }
    status = co_await Perform(scope, create.Take());
    if (!status.ok()) co_return status;
    thing.id = ++last_id;
    live.insert(thing.id);
    most_live = std::max(most_live, live.size());
    if (when_created) when_created();
    co_return absl::OkStatus();
  }
  Task<> Validate(PoolStage& stage, Thing& thing) override {
    EXPECT_TRUE(live.contains(thing.id));
    ++validations;
    co_return co_await Perform(stage, validate.Take());
  }
  Task<> Reset(PoolStage& stage, Thing& thing) override {
    EXPECT_TRUE(live.contains(thing.id));
    ++resets;
    co_return co_await Perform(stage, reset.Take());
  }
  Task<> Destroy(PoolStage& stage, Thing& thing) override {
    EXPECT_TRUE(live.contains(thing.id)) << "destroyed twice, or never created";
    absl::Status status = co_await Perform(stage, destroy.Take());
    live.erase(thing.id);
    destroyed.push_back(thing.id);
    Drop(thing.first_part);
    Drop(thing.second_part);
    co_return status;
  }

  StageScript create;
  StageScript validate;
  StageScript reset;
  StageScript destroy;
  // How long every creation takes in any case.
  int64_t before_create_ns = 0;
  // Called in Create, last.
  std::function<void()> when_created;

  std::set<int> live;
  size_t most_live = 0;
  std::vector<int> destroyed;  // in order
  std::string undone;          // "21" for one creation that was unwound in reverse
  int parts = 0;
  int last_id = 0;
  int creations_begun = 0;
  int validations = 0;
  int resets = 0;

 private:
  void Drop(bool& part) {
    EXPECT_TRUE(part) << "a part is given up that is not there";
    part = false;
    --parts;
  }
  Task<> UndoFirst(PoolStage& stage, Thing& thing) {
    absl::Status status = co_await Sleep(stage.loop(), kMillisecondNs);
    if (thing.first_part) {
      Drop(thing.first_part);
      undone += '1';
    }
    co_return status;
  }
  Task<> UndoSecond(PoolStage& stage, Thing& thing) {
    absl::Status status = co_await Sleep(stage.loop(), kMillisecondNs);
    if (thing.second_part) {
      Drop(thing.second_part);
      undone += '2';
    }
    co_return status;
  }
  static Task<> Perform(PoolStage& stage, Outcome outcome) {
    switch (outcome) {
      case Outcome::kOk:
        co_return absl::OkStatus();
      case Outcome::kError:
        co_return absl::UnavailableError("the script says so");
      case Outcome::kSlow:
        co_return co_await Sleep(stage.loop(), kSlowNs);
      case Outcome::kNever:
        co_return co_await SleepUntil(stage.loop(), kForeverNs);
      case Outcome::kCancelled:
        co_return absl::CancelledError("");
    }
    co_return absl::InternalError("no such outcome");
  }
};

}  // namespace tenon::pool

#endif  // TENON_POOL_TESTING_SCRIPTED_POLICY_H_
