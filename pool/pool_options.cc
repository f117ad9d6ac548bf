#include "tenon/pool/pool_options.h"

#include "absl/strings/string_view.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::pool {
namespace {

constexpr uint32_t kMaxCapacity = 1 << 16;

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return StatusOf(absl::StatusCode::kInvalidArgument, "PoolOptions.", field, " is ", value,
                  "; it must be from ", low, " to ", high);
}

}  // namespace

absl::Status PoolOptions::Validate() const {
  absl::Status status = CheckRange("capacity", capacity, 0, kMaxCapacity);
  status.Update(CheckRange("max", max, 1, capacity == 0 ? kMaxCapacity : capacity));
  status.Update(CheckRange("min", min, 0, max));
  status.Update(CheckRange("acquire_timeout_ns", acquire_timeout_ns, 0, kForeverNs));
  status.Update(CheckRange("check_idle_after_ns", check_idle_after_ns, 1, kForeverNs));
  status.Update(CheckRange("idle_ttl_ns", idle_ttl_ns, 1, kForeverNs));
  status.Update(CheckRange("lifetime_ns", lifetime_ns, 1, kForeverNs));
  status.Update(CheckRange("lifetime_jitter_ns", lifetime_jitter_ns, 0, lifetime_ns));
  status.Update(CheckRange("retry_min_ns", retry_min_ns, 1, kForeverNs));
  status.Update(CheckRange("retry_max_ns", retry_max_ns, retry_min_ns, kForeverNs));
  return status;
}

}  // namespace tenon::pool
