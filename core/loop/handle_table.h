// The descriptors that a loop owns, in a table of fixed size.

#ifndef TENON_CORE_LOOP_HANDLE_TABLE_H_
#define TENON_CORE_LOOP_HANDLE_TABLE_H_

#include <cstdint>
#include <memory>

#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/allocator.h"

namespace tenon {

class OwnedHandle;

// Everything pending on one handle, so that closing it finds what to cancel. Order is newest first
// and of no meaning.
class PendingList {
 public:
  bool empty() const { return first_ == nullptr; }
  void Add(Operation& operation) {
    operation.pending_previous_ = nullptr;
    operation.pending_next_ = first_;
    if (first_ != nullptr) first_->pending_previous_ = &operation;
    first_ = &operation;
  }
  // REQUIRES: it is in this list.
  void Remove(Operation& operation) {
    Operation* const previous = operation.pending_previous_;
    Operation* const next = operation.pending_next_;
    (previous == nullptr ? first_ : previous->pending_next_) = next;
    if (next != nullptr) next->pending_previous_ = previous;
  }
  // Calls `visit(Operation&)` for each; `visit` may not remove any.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (Operation* operation = first_; operation != nullptr;) {
      Operation* const next = operation->pending_next_;
      visit(*operation);
      operation = next;
    }
  }

 private:
  Operation* first_ = nullptr;
};

// Operations of one direction on one handle: one is under way, the others wait in order.
struct DirectionQueue {
  bool busy = false;
  IntrusiveList<Operation> waiting;
};

// One descriptor of the loop, or a free place in the table.
struct HandleSlot {
  enum class State : uint8_t { kFree, kOpen, kClosing };

  int fd = -1;
  uint32_t generation = 0;
  State state = State::kFree;
  DescriptorKind kind = DescriptorKind::kOther;
  // Files are not known to a backend without native_files.
  bool attached = false;
  // Operations that pin the descriptor: pending ones, counted once for each handle they name.
  uint32_t in_flight = 0;
  // Of those, operations with a second handle, which stand in the loop's unbound list.
  uint32_t in_flight_unbound = 0;
  uint32_t next_free = Handle::kNoIndex;
  PendingList pending;
  DirectionQueue reading;
  DirectionQueue writing;
  OwnedHandle* owner = nullptr;
  // A Close operation to be completed.
  Operation* close_operation = nullptr;
};

// The slots. Their memory is reserved at creation and touched in order of first use, so that a
// large bound costs an idle loop nothing.
//
// Threads: the loop's thread.
class HandleTable {
 public:
  HandleTable() = default;
  ~HandleTable();
  HandleTable(const HandleTable&) = delete;
  HandleTable& operator=(const HandleTable&) = delete;

  // Reserves `capacity` slots; false for want of memory.
  bool Init(Allocator& allocator, uint32_t capacity);

  // Takes a free slot: its index, or Handle::kNoIndex when all are taken.
  uint32_t Take();
  // Frees a slot; its handles are stale from now on.
  void Free(uint32_t index);

  HandleSlot& operator[](uint32_t index) { return slots_[index]; }
  const HandleSlot& operator[](uint32_t index) const { return slots_[index]; }
  // The slot of a handle that is open, or null.
  HandleSlot* Find(Handle handle);
  const HandleSlot* Find(Handle handle) const {
    return const_cast<HandleTable*>(this)->Find(handle);
  }
  Handle HandleOf(uint32_t index) const { return {index, slots_[index].generation}; }

  // Slots are in use only below this index.
  uint32_t used() const { return used_; }
  uint32_t taken() const { return taken_; }

 private:
  Allocator* allocator_ = nullptr;
  HandleSlot* slots_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t used_ = 0;
  uint32_t taken_ = 0;
  uint32_t first_free_ = Handle::kNoIndex;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_HANDLE_TABLE_H_
