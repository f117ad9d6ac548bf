// POOL-21: every outcome of every stage, in every combination, and an interruption of every kind
// after every turn of the loop: what was created is destroyed, and nobody waits for ever.

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

constexpr absl::string_view kOutcomeNames[] = {"ok", "error", "slow", "never", "cancelled"};

// What happens to a scenario from outside, once.
enum class Interruption { kNone, kStop, kClose, kDrain, kInvalidateAll, kResize };
constexpr Interruption kInterruptions[] = {Interruption::kStop, Interruption::kClose,
                                           Interruption::kDrain, Interruption::kInvalidateAll,
                                           Interruption::kResize};

class OutcomeTest : public PoolTest {
 protected:
  // Three acquirers and two resources that are validated, reset and in the end destroyed; each
  // lease ends as soon as it is there. Returns how many turns that took.
  int RunScenario(Interruption interruption, int at_turn) {
    MakePool({.min = 1,
              .max = 2,
              .fill = Fill::kEager,
              .check_on_acquire = true,
              .check_on_return = true,
              .reset_on_return = true,
              .retry_min_ns = kMillisecondNs,
              .retry_max_ns = kMillisecondNs});
    const int64_t deadline_ns = loop().Now() + 100 * kMillisecondNs;
    std::vector<std::unique_ptr<Acquirer>> acquirers;
    for (int i = 0; i < 3; ++i) acquirers.push_back(Acquire(deadline_ns));
    int turn = 0;
    for (; !acquirers.empty() || loop().Now() < deadline_ns; ++turn) {
      if (turn == at_turn) Interrupt(interruption, acquirers);
      loop().RunOnce(deadline_ns);
      CheckBooks();
      EXPECT_LE(policy_.live.size(), 2u);
      std::erase_if(acquirers, [](std::unique_ptr<Acquirer>& acquirer) {
        if (!acquirer->done()) return false;
        acquirer->TakeResult().IgnoreError();
        return true;
      });
      if (turn > 10'000) {
        ADD_FAILURE() << "the scenario does not end";
        break;
      }
    }
    EndPool();
    return turn;
  }

  void Interrupt(Interruption interruption, std::vector<std::unique_ptr<Acquirer>>& acquirers) {
    switch (interruption) {
      case Interruption::kNone:
        return;
      case Interruption::kStop:
        for (auto& acquirer : acquirers) acquirer->RequestStop();
        return;
      case Interruption::kClose:
        pool().Close();
        return;
      case Interruption::kDrain:
        Drain(loop().Now());
        return;
      case Interruption::kInvalidateAll:
        pool().InvalidateAll();
        return;
      case Interruption::kResize:
        EXPECT_EQ(pool().Resize(0, 1), absl::OkStatus());
        return;
    }
  }

  // Sets the outcomes of all stages from now on.
  std::string Play(const std::array<Outcome, 4>& outcomes) {
    policy_.create.otherwise = outcomes[0];
    policy_.validate.otherwise = outcomes[1];
    policy_.reset.otherwise = outcomes[2];
    policy_.destroy.otherwise = outcomes[3];
    std::string text = "create, validate, reset, destroy:";
    for (const Outcome outcome : outcomes) {
      absl::StrAppend(&text, " ", kOutcomeNames[static_cast<size_t>(outcome)]);
    }
    return text;
  }

  template <typename Visitor>
  void ForEveryCombination(Visitor visit) {
    for (const Outcome create : kOutcomes) {
      for (const Outcome validate : kOutcomes) {
        for (const Outcome reset : kOutcomes) {
          for (const Outcome destroy : kOutcomes) visit({create, validate, reset, destroy});
        }
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Pools, OutcomeTest, EveryPool(), FactoryName);

TEST_P(OutcomeTest, Pool21EveryCombinationOfOutcomesBalances) {
  int combinations = 0;
  ForEveryCombination([&](std::array<Outcome, 4> outcomes) {
    SCOPED_TRACE(Play(outcomes));
    RunScenario(Interruption::kNone, -1);
    ++combinations;
  });
  EXPECT_EQ(combinations, 625);
  EXPECT_GT(policy_.destroyed.size(), 625u);
}

// The first resource has the outcomes, all that follow it succeed: whoever waits is served.
TEST_P(OutcomeTest, Pool7OneBadResourceKeepsNobodyFromTheNext) {
  ForEveryCombination([&](std::array<Outcome, 4> outcomes) {
    SCOPED_TRACE(Play(outcomes));
    for (const Outcome outcome : outcomes) {
      if (outcome == Outcome::kNever) return;
    }
    policy_.create = {.next = {outcomes[0]}};
    policy_.validate = {.next = {outcomes[1]}};
    policy_.reset = {.next = {outcomes[2]}};
    policy_.destroy = {.next = {outcomes[3]}};
    MakePool({.max = 1, .check_on_acquire = true, .reset_on_return = true});
    for (int i = 0; i < 4; ++i) AcquireNow().Release();
    EndPool();
  });
}

TEST_P(OutcomeTest, Pool21EveryInterruptionAfterEveryTurnBalances) {
  int interrupted = 0;
  for (const Interruption interruption : kInterruptions) {
    for (const Outcome outcome : kOutcomes) {
      for (size_t stage = 0; stage < 4; ++stage) {
        std::array<Outcome, 4> outcomes = {Outcome::kSlow, Outcome::kSlow, Outcome::kSlow,
                                           Outcome::kSlow};
        outcomes[stage] = outcome;
        SCOPED_TRACE(testing::Message() << "interruption " << static_cast<int>(interruption) << ", "
                                        << Play(outcomes));
        const int turns = RunScenario(Interruption::kNone, -1);
        for (int turn = 0; turn < turns; ++turn) {
          RunScenario(interruption, turn);
          if (testing::Test::HasFailure()) FAIL() << "after turn " << turn;
        }
        interrupted += turns;
      }
    }
  }
  EXPECT_GT(interrupted, 1'000);
}

}  // namespace
}  // namespace tenon::pool
