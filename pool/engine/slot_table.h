// The slots of a pool and the memory of their resources, at addresses that do not change.

#ifndef TENON_POOL_ENGINE_SLOT_TABLE_H_
#define TENON_POOL_ENGINE_SLOT_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/pool/pool_core.h"
#include "tenon/pool/slot.h"

namespace tenon::pool {

// One block: each slot is followed by room for a resource of the given layout.
//
// Ownership: owns the slots; not what is constructed behind them, which is gone by the end.
// Threads: filled and destroyed by one; the slots are as the pool says.
class SlotTable {
 public:
  explicit SlotTable(Allocator& allocator) : allocator_(allocator) {}
  ~SlotTable();
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // False, with nothing taken, where there is no memory. Called once.
  bool Fill(uint32_t count, Layout resource, PoolCore& core);

  uint32_t size() const { return size_; }
  // REQUIRES: index < size().
  Slot& operator[](uint32_t index) const {
    return *reinterpret_cast<Slot*>(block_ + size_t{index} * stride_);
  }

 private:
  Allocator& allocator_;
  Layout layout_;
  char* block_ = nullptr;
  size_t stride_ = 0;
  uint32_t size_ = 0;
};

}  // namespace tenon::pool

#endif  // TENON_POOL_ENGINE_SLOT_TABLE_H_
