#include "tenon/pool/pool_stats.h"

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
  return text;
}

}  // namespace

absl::Status AcquireDiagnosis::ToStatus() const {
  if (failures_in_a_row > 0 && RanOutOfMemory(last_error)) {
    return absl::Status(absl::StatusCode::kResourceExhausted, "");
  }
  std::string text = "no resource of the pool came free in time: ";
  const uint32_t used = slots.used();
  if (used >= max) {
    absl::StrAppend(&text, "exhausted, ", used, " of ", max, " (", StateList(slots), ")");
  } else if (failures_in_a_row > 0) {
    absl::StrAppend(&text, "creation failing, ", used, " of ", max, " there");
  } else {
    absl::StrAppend(&text, "creation or validation slow, ", used, " of ", max, " (",
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
  return absl::DeadlineExceededError(text);
}

}  // namespace tenon::pool
