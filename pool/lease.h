// The right to use one resource of a pool for a while.

#ifndef TENON_POOL_LEASE_H_
#define TENON_POOL_LEASE_H_

#include <source_location>
#include <utility>

#include "absl/log/check.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

// A resource in the hands of one holder. Move-only; the pool has it back when the lease ends.
//
// Ownership: the pool outlives the lease, which is a CHECK there. Nobody else uses the resource
//   meanwhile; it does not move.
// Threads: as the pool's traits say: its home loop's thread, or any.
// Reentrancy: a lease may end anywhere, in destructors too: O(1), without memory, without I/O, and
//   without running anybody's code (POOL-20, POOL-15). Of a shared pool it may have to wake a loop
//   that sleeps, by a write that does not wait.
// Shutdown: leases stay valid when the pool is closed; what they return is destroyed (POOL-9).
template <typename T>
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Release();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~Lease() { Release(); }

  // Takes charge of a slot in state kLeased. For Pool.
  explicit Lease(Slot& slot) : slot_(&slot) {}

  bool valid() const { return slot_ != nullptr; }
  // REQUIRES: valid().
  T& operator*() const { return *get(); }
  T* operator->() const { return get(); }
  T* get() const {
    DCHECK(valid());
    return static_cast<T*>(slot_->resource);
  }
  // Where it was acquired.
  std::source_location site() const { return slot_->site; }

  // Says that the resource is not to be leased again: it is destroyed when the lease ends
  // (POOL-11). REQUIRES: valid().
  void Invalidate() const noexcept { slot_->broken = true; }

  // Ends the lease now. No effect when it has ended.
  void Release() noexcept {
    if (Slot* const slot = std::exchange(slot_, nullptr)) slot->core.Return(*slot);
  }

 private:
  Slot* slot_ = nullptr;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_LEASE_H_
