#include "tenon/pool/slot/slot_state.h"

#include <set>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace tenon::pool {
namespace {

// The states by letter, in the order of SlotState, and what each event makes of each of them: the
// letter of the next state, or '.' where the event may not happen. Written from the diagram, not
// from the code.
constexpr absl::string_view kLetters = "ERCIVALTD";
struct Row {
  SlotEvent event;
  absl::string_view name;
  absl::string_view next;  // one letter for each state
};
// clang-format off
constexpr Row kTable[] = {
    // from:                             ERCIVALTD
    {SlotEvent::kReserve,   "reserve",   "R........"},
    {SlotEvent::kForgo,     "forgo",     ".E......."},
    {SlotEvent::kCreate,    "create",    ".C......."},
    {SlotEvent::kFail,      "fail",      "..E......"},
    {SlotEvent::kPark,      "park",      "..I.I.II."},
    {SlotEvent::kAssign,    "assign",    "..A.A.AA."},
    {SlotEvent::kLease,     "lease",     "...L.L..."},
    {SlotEvent::kValidate,  "validate",  "...V..VV."},
    {SlotEvent::kReset,     "reset",     "......T.."},
    {SlotEvent::kDestroy,   "destroy",   "..DDDDDD."},
    {SlotEvent::kDestroyed, "destroyed", "........E"},
};
// clang-format on

char LetterOf(SlotState state) { return kLetters[static_cast<size_t>(state)]; }

SlotEffect ExpectedEffect(char from, char to) {
  if (from == 'C' && to == 'E') return SlotEffect::kCreationFailed;
  if (from == 'C') return SlotEffect::kCreated;
  if (from == 'D') return SlotEffect::kDestroyed;
  return SlotEffect::kNone;
}

TEST(SlotStateTest, EveryStateAndEventIsAsInTheTable) {
  ASSERT_EQ(std::size(kTable), kSlotEvents);
  ASSERT_EQ(kLetters.size(), kSlotStates);
  size_t legal = 0;
  for (size_t j = 0; j < kSlotEvents; ++j) {
    const Row& row = kTable[j];
    ASSERT_EQ(static_cast<size_t>(row.event), j);
    ASSERT_EQ(row.next.size(), kSlotStates);
    EXPECT_EQ(SlotEventName(row.event), row.name);
    for (size_t i = 0; i < kSlotStates; ++i) {
      SCOPED_TRACE(testing::Message() << kLetters[i] << " " << row.name);
      const SlotTransition* const transition = NextSlotState(static_cast<SlotState>(i), row.event);
      const char next = row.next[i];
      ASSERT_EQ(transition != nullptr, next != '.');
      if (transition == nullptr) continue;
      ++legal;
      EXPECT_EQ(LetterOf(transition->next), next);
      EXPECT_EQ(transition->effect, ExpectedEffect(kLetters[i], next));
    }
  }
  EXPECT_EQ(legal, 25u);
}

// From every state a slot can become empty again, and from empty it can reach every state.
TEST(SlotStateTest, NoStateIsATrap) {
  for (size_t from = 0; from < kSlotStates; ++from) {
    std::set<SlotState> seen = {static_cast<SlotState>(from)};
    std::vector<SlotState> open(seen.begin(), seen.end());
    while (!open.empty()) {
      const SlotState state = open.back();
      open.pop_back();
      for (size_t event = 0; event < kSlotEvents; ++event) {
        const SlotTransition* const transition =
            NextSlotState(state, static_cast<SlotEvent>(event));
        if (transition != nullptr && seen.insert(transition->next).second)
          open.push_back(transition->next);
      }
    }
    EXPECT_EQ(seen.size(), kSlotStates) << "from " << SlotStateName(static_cast<SlotState>(from));
  }
}

// Along every edge, what is created is what is there, and what is destroyed is there no more:
// whatever the path, created equals destroyed when the slot is empty again (POOL-21).
TEST(SlotStateTest, AResourceIsThereExactlyBetweenCreatedAndDestroyed) {
  for (size_t i = 0; i < kSlotStates; ++i) {
    const auto from = static_cast<SlotState>(i);
    for (size_t event = 0; event < kSlotEvents; ++event) {
      const SlotTransition* const transition = NextSlotState(from, static_cast<SlotEvent>(event));
      if (transition == nullptr) continue;
      const int before = HoldsResource(from) ? 1 : 0;
      const int after = HoldsResource(transition->next) ? 1 : 0;
      const int created = transition->effect == SlotEffect::kCreated ? 1 : 0;
      const int destroyed = transition->effect == SlotEffect::kDestroyed ? 1 : 0;
      EXPECT_EQ(after, before + created - destroyed)
          << SlotStateName(from) << " " << SlotEventName(static_cast<SlotEvent>(event));
    }
  }
}

TEST(SlotStateTest, NamesAreDistinct) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < kSlotStates; ++i) names.insert(SlotStateName(static_cast<SlotState>(i)));
  EXPECT_EQ(names.size(), kSlotStates);
  EXPECT_EQ(SlotStateName(SlotState::kValidating), "validating");
}

}  // namespace
}  // namespace tenon::pool
