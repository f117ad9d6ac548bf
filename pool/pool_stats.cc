#include "tenon/pool/pool_stats.h"

#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/time.h"

namespace tenon::pool {
namespace {

bool RanOutOfMemory(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && status.message().empty();
}

std::string StateList(const SlotCounts& slots) {
  std::string text;
  for (size_t i = 1; i < kSlotStates; ++i) {
    const auto state = static_cast<SlotState>(i);
    if (slots[state] == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", slots[state], " ", SlotStateName(state));
  }
  return text.empty() ? "none" : text;
}

// What most of those do that are in nobody's hands.
absl::string_view SlowStage(const SlotCounts& slots) {
  absl::string_view name = "creation";
  uint32_t most = slots.arriving();
  const auto consider = [&](SlotState state, absl::string_view stage) {
    if (slots[state] <= most) return;
    most = slots[state];
    name = stage;
  };
  consider(SlotState::kValidating, "validation");
  consider(SlotState::kResetting, "resetting");
  consider(SlotState::kDestroying, "destruction");
  return name;
}

}  // namespace

std::string AcquireDiagnosis::Text() const {
  std::string text = "no resource of the pool came free in time: ";
  const uint32_t used = slots.used();
  if (slots[SlotState::kLeased] + slots[SlotState::kAssigned] >= max) {
    absl::StrAppend(&text, "exhausted, ", used, " of ", max, " (", StateList(slots), ")");
  } else if (failures_in_a_row > 0) {
    absl::StrAppend(&text, "creation failing, ", used, " of ", max, " there");
  } else {
    absl::StrAppend(&text, SlowStage(slots), " is slow, ", used, " of ", max, " (",
                    StateList(slots), ")");
  }
  absl::StrAppend(&text, ", ", waiting, " others waiting");
  if (failures_in_a_row > 0) {
    absl::StrAppend(&text, "; creation failed ", failures_in_a_row, " times in a row, last with ",
                    last_error.ToString());
  }
  for (size_t i = 0; i < holder_count; ++i) {
    absl::StrAppend(&text, i == 0 ? "; held longest: by " : ", by ", holders[i].site.file_name(),
                    ":", holders[i].site.line(), " for ", holders[i].held_ns / kMillisecondNs,
                    " ms");
  }
  return text;
}

absl::Status AcquireDiagnosis::ToStatus() const noexcept {
  if (failures_in_a_row > 0 && RanOutOfMemory(last_error)) {
    return absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
  try {
    return absl::DeadlineExceededError(Text());
  } catch (const std::bad_alloc&) {
    return absl::Status(absl::StatusCode::kDeadlineExceeded, "");
  }
}

}  // namespace tenon::pool
