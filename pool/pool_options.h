// What a pool is created with. Every bound that a pool keeps is stated here.

#ifndef TENON_POOL_POOL_OPTIONS_H_
#define TENON_POOL_POOL_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/time.h"

namespace tenon::pool {

enum class Fill : uint8_t {
  kLazy,   // creates what somebody waits for
  kEager,  // also creates, from the start and whenever there are fewer, up to `min`
};

enum class IdleOrder : uint8_t {
  kNewestFirst,  // leases what was returned last; the others grow old and go (idle_ttl_ns)
  kOldestFirst,  // takes turns
};

struct PoolOptions {
  // How many resources idle_ttl_ns leaves alone, and Fill::kEager keeps. 0 to max.
  uint32_t min = 0;
  // How many there may be at once, in whatever state, those being created and those not yet
  // destroyed included (POOL-10). 1 to capacity.
  uint32_t max = 8;
  // How far Resize may raise max; memory for so many is taken at once. Up to 65,536; 0 is `max`.
  uint32_t capacity = 0;

  Fill fill = Fill::kLazy;
  IdleOrder idle_order = IdleOrder::kNewestFirst;

  // How long Acquire waits where it is given no deadline. 0 does not wait; kForeverNs waits.
  int64_t acquire_timeout_ns = 30 * kSecondNs;

  // Validates what was idle before it is leased: costs a turn of the loop at least.
  bool check_on_acquire = false;
  // Validates what is returned, after it was reset.
  bool check_on_return = false;
  // Validates, in the background, what has been idle for so long, and again after as long.
  int64_t check_idle_after_ns = kForeverNs;
  // Resets what is returned.
  bool reset_on_return = false;

  // Destroys what has been idle for so long, unless no more than `min` are left (POOL-17).
  int64_t idle_ttl_ns = kForeverNs;
  // Destroys what was created so long ago, when nobody has leased it (POOL-17). Where no more than
  // `min` are left its replacement is created first, if max allows for one more at a time; else one
  // is destroyed, and the next when its replacement is there. Until then they are not leased.
  int64_t lifetime_ns = kForeverNs;
  // Lifetimes are shorter by a random part of this, so that what was created together does not
  // end together. 0 to lifetime_ns.
  int64_t lifetime_jitter_ns = 0;

  // After a creation failed no other begins for retry_min_ns, doubled by each further failure in a
  // row up to retry_max_ns; then one at a time, until one succeeds. Those that had begun before the
  // last failure count as part of it. At least 1.
  int64_t retry_min_ns = 50 * kMillisecondNs;
  int64_t retry_max_ns = 10 * kSecondNs;
  // From so many failures in a row on, each that fails answers the acquirer that has waited
  // longest. 0: acquirers wait until one succeeds, or their deadline, which then tells of the
  // failures.
  uint32_t create_attempts = 0;

  // Of the jitter.
  uint64_t seed = 1;

  // OK, or InvalidArgument naming the field, its value and its range.
  absl::Status Validate() const;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_POOL_OPTIONS_H_
