#include "tenon/pool/slot/slot_state.h"

#include <array>

namespace tenon::pool {
namespace {

using State = SlotState;
using Event = SlotEvent;

// One event leads to one state, whatever it comes from.
constexpr State Target(Event event) {
  switch (event) {
    case Event::kReserve:
      return State::kReserved;
    case Event::kCreate:
      return State::kCreating;
    case Event::kPark:
      return State::kIdle;
    case Event::kAssign:
      return State::kAssigned;
    case Event::kLease:
      return State::kLeased;
    case Event::kValidate:
      return State::kValidating;
    case Event::kReset:
      return State::kResetting;
    case Event::kDestroy:
      return State::kDestroying;
    case Event::kForgo:
    case Event::kFail:
    case Event::kDestroyed:
      return State::kEmpty;
  }
  return State::kEmpty;
}

constexpr bool IsLegal(State state, Event event) {
  switch (state) {
    case State::kEmpty:
      return event == Event::kReserve;
    case State::kReserved:
      return event == Event::kCreate || event == Event::kForgo;
    case State::kCreating:
      return event == Event::kFail || event == Event::kPark || event == Event::kAssign ||
             event == Event::kDestroy;
    case State::kIdle:
      return event == Event::kLease || event == Event::kValidate || event == Event::kDestroy;
    case State::kValidating:
      return event == Event::kPark || event == Event::kAssign || event == Event::kDestroy;
    case State::kAssigned:
      return event == Event::kLease || event == Event::kDestroy;
    case State::kLeased:
      return event == Event::kReset || event == Event::kValidate || event == Event::kPark ||
             event == Event::kAssign || event == Event::kDestroy;
    case State::kResetting:
      return event == Event::kValidate || event == Event::kPark || event == Event::kAssign ||
             event == Event::kDestroy;
    case State::kDestroying:
      return event == Event::kDestroyed;
  }
  return false;
}

constexpr SlotEffect EffectOf(State from, State to) {
  if (from == State::kDestroying) return SlotEffect::kDestroyed;
  if (from != State::kCreating) return SlotEffect::kNone;
  return to == State::kEmpty ? SlotEffect::kCreationFailed : SlotEffect::kCreated;
}

struct Cell {
  bool legal = false;
  SlotTransition transition;
};
using Matrix = std::array<std::array<Cell, kSlotEvents>, kSlotStates>;

// Every answer, worked out by the compiler: a transition costs one load.
constexpr Matrix MakeMatrix() {
  Matrix matrix{};
  for (size_t i = 0; i < kSlotStates; ++i) {
    for (size_t j = 0; j < kSlotEvents; ++j) {
      const auto from = static_cast<State>(i);
      const auto event = static_cast<Event>(j);
      const State to = Target(event);
      matrix[i][j].legal = IsLegal(from, event);
      matrix[i][j].transition = {.next = to, .effect = EffectOf(from, to)};
    }
  }
  return matrix;
}

constexpr Matrix kMatrix = MakeMatrix();

constexpr absl::string_view kStateNames[kSlotStates] = {
    "empty",    "reserved", "creating",  "idle",       "validating",
    "assigned", "leased",   "resetting", "destroying",
};
constexpr absl::string_view kEventNames[kSlotEvents] = {
    "reserve", "forgo",    "create", "fail",    "park",      "assign",
    "lease",   "validate", "reset",  "destroy", "destroyed",
};

}  // namespace

const SlotTransition* NextSlotState(SlotState state, SlotEvent event) {
  const Cell& cell = kMatrix[static_cast<size_t>(state)][static_cast<size_t>(event)];
  return cell.legal ? &cell.transition : nullptr;
}

absl::string_view SlotStateName(SlotState state) { return kStateNames[static_cast<size_t>(state)]; }

absl::string_view SlotEventName(SlotEvent event) { return kEventNames[static_cast<size_t>(event)]; }

}  // namespace tenon::pool
