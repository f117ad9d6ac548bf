// What a pool tells of itself: its counters, and why an acquirer waited in vain.

#ifndef TENON_POOL_POOL_STATS_H_
#define TENON_POOL_POOL_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

#include "absl/status/status.h"
#include "tenon/pool/slot/slot_state.h"

namespace tenon::pool {

// How many slots are in each state.
class SlotCounts {
 public:
  uint32_t& operator[](SlotState state) { return counts_[static_cast<size_t>(state)]; }
  uint32_t operator[](SlotState state) const { return counts_[static_cast<size_t>(state)]; }

  // Those that hold a permit (POOL-10), and of them those that hold a resource.
  uint32_t used() const {
    uint32_t sum = 0;
    for (size_t i = 1; i < kSlotStates; ++i) sum += counts_[i];
    return sum;
  }
  uint32_t live() const {
    return used() - (*this)[SlotState::kReserved] - (*this)[SlotState::kCreating];
  }
  // Those that hold a resource which is not on its way out.
  uint32_t present() const { return live() - (*this)[SlotState::kDestroying]; }
  // Those whose resource is yet to be.
  uint32_t arriving() const {
    return (*this)[SlotState::kReserved] + (*this)[SlotState::kCreating];
  }

 private:
  std::array<uint32_t, kSlotStates> counts_ = {};
};

// Counters since creation. Whenever they are read they add up (POOL-16):
//
//   acquires == leases + timeouts + cancelled + refused + failed + waiting + slots[kAssigned]
//   leases == returns + slots[kLeased]
//   created == destroyed + slots.live()
struct PoolStats {
  SlotCounts slots;
  uint32_t waiting = 0;

  uint64_t acquires = 0;   // that began
  uint64_t leases = 0;     // that were given
  uint64_t timeouts = 0;   // that met their deadline
  uint64_t cancelled = 0;  // whose task was asked to stop
  uint64_t refused = 0;    // as the pool was closed
  uint64_t failed = 0;     // with the error of a creation (PoolOptions::create_attempts)
  uint64_t returns = 0;

  uint64_t created = 0;
  uint64_t destroyed = 0;
  uint64_t create_failures = 0;
  uint64_t validate_failures = 0;
  uint64_t reset_failures = 0;
  uint64_t destroy_failures = 0;  // destroyed all the same
  uint64_t ttl_expired = 0;
  uint64_t lifetime_expired = 0;
};

// Why an acquirer met its deadline (POOL-19).
struct AcquireDiagnosis {
  struct Holder {
    std::source_location site = {};
    int64_t held_ns = 0;
  };
  static constexpr size_t kMaxHolders = 3;

  uint32_t max = 0;
  SlotCounts slots;
  uint32_t waiting = 0;  // the acquirer itself not counted
  // Creations that failed in a row until now, and what the last of them failed with.
  uint64_t failures_in_a_row = 0;
  absl::Status last_error;
  // Those that have held their lease for longest, longest first.
  std::array<Holder, kMaxHolders> holders;
  size_t holder_count = 0;

  // DeadlineExceeded, saying all this, or nothing where there is no memory for it; but, where
  // creating failed for want of memory, ResourceExhausted without a message.
  absl::Status ToStatus() const noexcept;

 private:
  std::string Text() const;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_POOL_STATS_H_
