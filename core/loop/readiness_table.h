// What backends share that hear from the kernel when a descriptor is ready, and perform the
// operations themselves: what is in flight on which descriptor, when to attempt it, when to wait.

#ifndef TENON_CORE_LOOP_READINESS_TABLE_H_
#define TENON_CORE_LOOP_READINESS_TABLE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/allocator.h"

namespace tenon {

// Where a table's knowledge of readiness comes from: its backend.
//
// Threads: the loop's thread.
// Reentrancy: called from within the table; may not call it.
class ReadinessSource {
 public:
  // From now on OnReady is owed when the descriptor becomes ready for input (kRead) or has room
  // (kWrite). Called for every operation that is left waiting, so mostly for what is awaited
  // already. Returns 0, or a negated errno that the operation then completes with.
  virtual int32_t Await(uint32_t slot, Direction direction) noexcept = 0;

  // The same for `events` of poll(2) and for what it always reports, of which none is there now.
  virtual int32_t AwaitEvents(uint32_t slot, uint32_t events) noexcept = 0;

 protected:
  ~ReadinessSource() = default;
};

// The descriptors of one loop and what is parked on them.
//
// The table remembers for each descriptor whether it is readable and writable, attempts an
// operation at once when it is thought to be, and parks it otherwise. EAGAIN, and a short count
// where that proves it, clear the flag; the source sets it. An echo thus costs one receive and one
// send, without a probe that ends in EAGAIN.
//
// Ownership: owns nothing but its memory, which it takes in Init.
// Threads: the loop's thread.
// Shutdown: as for LoopBackend; nothing is in flight when it is destroyed.
class ReadinessTable {
 public:
  // `source` outlives the table. `queue_depth` operations are begun in one Start.
  ReadinessTable(ReadinessSource& source, uint32_t queue_depth)
      : source_(source), queue_depth_(queue_depth) {}
  ~ReadinessTable();
  ReadinessTable(const ReadinessTable&) = delete;
  ReadinessTable& operator=(const ReadinessTable&) = delete;

  // Reserves memory for `capacity` slots, touched as they are used. False when there is none.
  bool Init(Allocator& allocator, uint32_t capacity);

  // Attach and Detach. A descriptor counts as ready until the first attempt finds out.
  void Add(uint32_t slot, int fd, DescriptorKind kind);
  void Remove(uint32_t slot);

  // A word of the source for each slot, 0 after Add. REQUIRES: the slot was added once.
  uintptr_t& note(uint32_t slot) { return slots_[slot].note; }
  // REQUIRES: as for note. The descriptor, or -1 after Remove.
  int fd(uint32_t slot) const { return slots_[slot].fd; }
  // Slots below this number were added once.
  uint32_t used() const { return constructed_; }

  // The buffers for Recv with pooled_buffer(); they outlive the table.
  void SetBuffers(BufferPool& buffers) { buffers_ = &buffers; }

  // As LoopBackend's.
  bool Start(SubmissionBatch& batch, CompletionSink& sink);
  void Cancel(Operation& operation, CompletionSink& sink);

  // Whether RunAgain would do something.
  bool has_more() const { return again_ != kNoSlot; }
  // Goes on where a completion had to wait for the callback of the one before. Every Wait calls it.
  void RunAgain(CompletionSink& sink);

  // What an event said of a descriptor.
  struct Readiness {
    bool readable = false;
    bool writable = false;
    // The peer is gone, there was an error or urgent data. Where readiness is reported when it
    // changes and not as long as it lasts, what is left then gives no further event, and a short
    // count no longer means that there is no more.
    bool short_proves_nothing = false;
  };
  // An event: attempts what is parked.
  void OnReady(uint32_t slot, Readiness readiness, CompletionSink& sink);

  // Completes everything in flight with `result`: the source has gone for good.
  void CompleteAll(int32_t result, CompletionSink& sink);
  // Whether anything is in flight. Looks at every slot in use.
  bool AnyInFlight() const;
  // How many completions were reported so far.
  uint64_t completions() const { return completions_; }

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  // A registered descriptor.
  struct Slot {
    int fd = -1;
    DescriptorKind kind = DescriptorKind::kOther;
    // What the last event and the attempts since say. Wrong only by being true too often.
    bool readable = false;
    bool writable = false;
    bool short_proves_nothing = false;
    // It was an Accept that last found nothing to read.
    bool accepts = false;
    // On the list of slots to come back to without an event.
    bool on_again_list = false;
    uint32_t next_again = kNoSlot;
    uintptr_t note = 0;
    // The one operation of each direction that the loop lets through at a time.
    Operation* reader = nullptr;
    Operation* writer = nullptr;
    // Poll and Splice operations, which have no order.
    IntrusiveList<Operation> waiters;
  };

  uint32_t NumberOf(const Slot& slot) const { return static_cast<uint32_t>(&slot - slots_); }
  Slot* FindSlot(Handle handle);
  void Complete(Operation& operation, int32_t result, CompletionSink& sink, uint8_t flags = 0,
                uint16_t buffer_id = 0);

  void Begin(Operation& operation, CompletionSink& sink);
  void BeginConnect(Operation& operation, Slot& slot, CompletionSink& sink);
  void BeginPoll(Operation& operation, Slot& slot, CompletionSink& sink);
  void BeginSplice(Operation& operation, CompletionSink& sink);

  void RunReader(Slot& slot, CompletionSink& sink);
  void RunWriter(Slot& slot, CompletionSink& sink);
  void RunWaiters(Slot& slot, CompletionSink& sink);
  int32_t AttemptRead(Operation& operation, Slot& slot, uint16_t* buffer_id);

  void AwaitInput(Slot& slot, CompletionSink& sink);
  void AwaitRoom(Slot& slot, CompletionSink& sink);
  void ParkWaiter(Operation& operation, Slot& slot, uint32_t events, CompletionSink& sink);
  void ComeBackTo(Slot& slot);

  ReadinessSource& source_;
  const uint32_t queue_depth_;
  // Reserved for every slot number, constructed up to the highest used.
  Allocator* allocator_ = nullptr;
  Slot* slots_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t constructed_ = 0;
  uint32_t again_ = kNoSlot;
  BufferPool* buffers_ = nullptr;
  uint64_t completions_ = 0;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_READINESS_TABLE_H_
