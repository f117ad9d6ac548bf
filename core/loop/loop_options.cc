#include "tenon/core/loop/loop_options.h"

#include "tenon/core/loop/os_error.h"

namespace tenon {
namespace {

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return StatusOf(absl::StatusCode::kInvalidArgument, "LoopOptions.", field, " is ", value,
                  "; it must be from ", low, " to ", high);
}

}  // namespace

absl::Status LoopOptions::Validate() const {
  absl::Status status = CheckRange("max_handles", max_handles, 1, 1 << 20);
  status.Update(CheckRange("queue_depth", queue_depth, 1, 1 << 15));
  status.Update(CheckRange("work_threads", work_threads, 1, 256));
  status.Update(CheckRange("accept_backoff_ns", accept_backoff_ns, 0, kForeverNs));
  return status;
}

}  // namespace tenon
