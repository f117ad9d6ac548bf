#include "tenon/core/loop/readiness_table.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/perform.h"

namespace tenon {
namespace {

// A transfer of no bytes, which need not wait for any: the kernel decides.
bool MovesNothing(const Operation& operation) {
  switch (operation.opcode()) {
    case Opcode::kRecv:
    case Opcode::kSend:
    case Opcode::kRead:
    case Opcode::kWrite:
      return operation.parameters().buffer.size == 0 && !operation.pooled_buffer();
    default:
      return false;
  }
}

}  // namespace

bool ReadinessTable::Init(Allocator& allocator, uint32_t capacity) {
  const Block block =
      allocator.Allocate({.size = capacity * sizeof(Slot), .alignment = alignof(Slot)});
  if (block.ptr == nullptr) return false;
  slots_ = static_cast<Slot*>(block.ptr);
  capacity_ = capacity;
  allocator_ = &allocator;
  return true;
}

ReadinessTable::~ReadinessTable() {
  if (slots_ == nullptr) return;
  std::destroy_n(slots_, constructed_);
  allocator_->Deallocate(slots_, {.size = capacity_ * sizeof(Slot), .alignment = alignof(Slot)});
}

void ReadinessTable::Add(uint32_t slot_number, int fd, DescriptorKind kind) {
  DCHECK_LT(slot_number, capacity_);
  // The loop uses low numbers first.
  while (constructed_ <= slot_number) ::new (&slots_[constructed_++]) Slot();
  Slot& slot = slots_[slot_number];
  slot.fd = fd;
  slot.kind = kind;
  // Unknown: the first attempt finds out.
  slot.readable = true;
  slot.writable = true;
  slot.short_proves_nothing = false;
  slot.accepts = false;
  slot.note = 0;
}

void ReadinessTable::Remove(uint32_t slot_number) {
  Slot& slot = slots_[slot_number];
  DCHECK(slot.reader == nullptr && slot.writer == nullptr && slot.waiters.empty());
  slot.fd = -1;
}

ReadinessTable::Slot* ReadinessTable::FindSlot(Handle handle) {
  if (handle.index >= constructed_) return nullptr;
  Slot& slot = slots_[handle.index];
  return slot.fd < 0 ? nullptr : &slot;
}

void ReadinessTable::Complete(Operation& operation, int32_t result, CompletionSink& sink,
                              uint8_t flags, uint16_t buffer_id) {
  ++completions_;
  sink.Complete(operation, result, flags, buffer_id);
}

bool ReadinessTable::Start(SubmissionBatch& batch, CompletionSink& sink) {
  RunAgain(sink);
  while (!batch.empty() && batch.popped() < queue_depth_) Begin(batch.Pop(), sink);
  return has_more();
}

void ReadinessTable::Begin(Operation& operation, CompletionSink& sink) {
  if (operation.opcode() == Opcode::kSplice) return BeginSplice(operation, sink);
  Slot& slot = slots_[operation.handle().index];
  switch (operation.opcode()) {
    case Opcode::kPoll:
      return BeginPoll(operation, slot, sink);
    case Opcode::kConnect:
      return BeginConnect(operation, slot, sink);
    default:
      break;
  }
  if (DirectionOf(operation.opcode()) == Direction::kRead) {
    DCHECK(slot.reader == nullptr);
    // That there is no connection to accept says nothing of a receive, nor the other way round: on
    // a descriptor of the other sort it is refused at once.
    const bool accepts = operation.opcode() == Opcode::kAccept;
    if (accepts != slot.accepts || MovesNothing(operation)) slot.readable = true;
    slot.reader = &operation;
    RunReader(slot, sink);
  } else {
    DCHECK(slot.writer == nullptr);
    if (MovesNothing(operation)) slot.writable = true;
    slot.writer = &operation;
    RunWriter(slot, sink);
  }
}

void ReadinessTable::BeginConnect(Operation& operation, Slot& slot, CompletionSink& sink) {
  const int32_t result = PerformNonBlocking(operation, slot.kind);
  if (result != kWouldBlock) return Complete(operation, result, sink);
  // What was known of the unconnected socket, which counts as hung up, means nothing any more.
  slot.readable = false;
  slot.writable = false;
  slot.short_proves_nothing = false;
  slot.writer = &operation;
  AwaitRoom(slot, sink);
}

void ReadinessTable::BeginPoll(Operation& operation, Slot& slot, CompletionSink& sink) {
  const uint32_t wanted = operation.parameters().poll_events;
  const int32_t ready = PollNow(slot.fd, wanted);
  if (ready != 0) return Complete(operation, ready, sink);
  ParkWaiter(operation, slot, wanted, sink);
}

void ReadinessTable::BeginSplice(Operation& operation, CompletionSink& sink) {
  Slot* const from = FindSlot(operation.handle());
  Slot* const to = FindSlot(operation.parameters().splice.to);
  // splice(2) does not say which side would block; the side may become ready in between.
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int32_t result = PerformNonBlocking(operation, DescriptorKind::kPipe);
    if (result != kWouldBlock) return Complete(operation, result, sink);
    if (from != nullptr && PollNow(from->fd, POLLIN) == 0) {
      return ParkWaiter(operation, *from, POLLIN, sink);
    }
    if (to != nullptr && PollNow(to->fd, POLLOUT) == 0) {
      return ParkWaiter(operation, *to, POLLOUT, sink);
    }
  }
  Complete(operation, -EAGAIN, sink);
}

int32_t ReadinessTable::AttemptRead(Operation& operation, Slot& slot, uint16_t* buffer_id) {
  const bool pooled = operation.pooled_buffer();
  const int32_t result = pooled ? PerformRecvPooled(operation, *buffers_, buffer_id)
                                : PerformNonBlocking(operation, slot.kind);
  const size_t size = pooled ? buffers_->buffer_size() : operation.parameters().buffer.size;
  if (result == kWouldBlock ||
      (ExhaustedBy(operation, result, size, slot.kind) && !slot.short_proves_nothing)) {
    slot.readable = false;
    slot.accepts = operation.opcode() == Opcode::kAccept;
  }
  return result;
}

void ReadinessTable::RunReader(Slot& slot, CompletionSink& sink) {
  while (slot.reader != nullptr) {
    if (!slot.readable) return AwaitInput(slot, sink);
    Operation& operation = *slot.reader;
    if (!sink.CanTakeMore(operation)) return ComeBackTo(slot);
    uint16_t buffer_id = 0;
    const int32_t result = AttemptRead(operation, slot, &buffer_id);
    if (result == kWouldBlock) continue;
    const uint8_t lent = operation.pooled_buffer() && result > 0 ? kBuffer : 0;
    const bool goes_on =
        operation.multishot() && (operation.opcode() == Opcode::kAccept ? result >= 0 : result > 0);
    if (!goes_on) slot.reader = nullptr;
    const auto flags = static_cast<uint8_t>(lent | (goes_on ? kMore : 0));
    Complete(operation, result, sink, flags, buffer_id);
  }
}

void ReadinessTable::RunWriter(Slot& slot, CompletionSink& sink) {
  if (slot.writer == nullptr) return;
  Operation& operation = *slot.writer;
  // A Shutdown needs no room.
  if (!slot.writable && operation.opcode() != Opcode::kShutdown) return AwaitRoom(slot, sink);
  const bool connects = operation.opcode() == Opcode::kConnect;
  const int32_t result =
      connects ? FinishConnect(operation) : PerformNonBlocking(operation, slot.kind);
  if (result == kWouldBlock) {
    slot.writable = false;
    return AwaitRoom(slot, sink);
  }
  const size_t size = operation.parameters().buffer.size;
  if (ExhaustedBy(operation, result, size, slot.kind)) slot.writable = slot.short_proves_nothing;
  if (connects) slot.readable = true;
  slot.writer = nullptr;
  Complete(operation, result, sink);
}

void ReadinessTable::RunWaiters(Slot& slot, CompletionSink& sink) {
  if (slot.waiters.empty()) return;
  // Aside first: those that wait on are put back.
  IntrusiveList<Operation> waiting;
  waiting.Append(slot.waiters);
  while (Operation* operation = waiting.PopFront()) {
    if (operation->opcode() == Opcode::kSplice) {
      BeginSplice(*operation, sink);
    } else {
      BeginPoll(*operation, slot, sink);
    }
  }
}

void ReadinessTable::AwaitInput(Slot& slot, CompletionSink& sink) {
  const int32_t refused = source_.Await(NumberOf(slot), Direction::kRead);
  if (refused != 0) Complete(*std::exchange(slot.reader, nullptr), refused, sink);
}

void ReadinessTable::AwaitRoom(Slot& slot, CompletionSink& sink) {
  const int32_t refused = source_.Await(NumberOf(slot), Direction::kWrite);
  if (refused != 0) Complete(*std::exchange(slot.writer, nullptr), refused, sink);
}

void ReadinessTable::ParkWaiter(Operation& operation, Slot& slot, uint32_t events,
                                CompletionSink& sink) {
  const int32_t refused = source_.AwaitEvents(NumberOf(slot), events);
  if (refused != 0) return Complete(operation, refused, sink);
  slot.waiters.PushBack(operation);
}

void ReadinessTable::ComeBackTo(Slot& slot) {
  if (slot.on_again_list) return;
  slot.on_again_list = true;
  slot.next_again = again_;
  again_ = NumberOf(slot);
}

void ReadinessTable::RunAgain(CompletionSink& sink) {
  uint32_t next = std::exchange(again_, kNoSlot);
  while (next != kNoSlot) {
    Slot& slot = slots_[next];
    next = slot.next_again;
    slot.on_again_list = false;
    RunReader(slot, sink);
  }
}

void ReadinessTable::Cancel(Operation& operation, CompletionSink& sink) {
  if (DirectionOf(operation.opcode()) == Direction::kNone) {
    IntrusiveList<Operation>::Remove(operation);
  } else {
    Slot& slot = slots_[operation.handle().index];
    (slot.reader == &operation ? slot.reader : slot.writer) = nullptr;
  }
  // A connection that stands by now is a success (CAN-3).
  const bool connected = operation.opcode() == Opcode::kConnect && FinishConnect(operation) == 0;
  Complete(operation, connected ? 0 : -ECANCELED, sink);
}

void ReadinessTable::OnReady(uint32_t slot_number, Readiness readiness, CompletionSink& sink) {
  Slot& slot = slots_[slot_number];
  if (readiness.readable) slot.readable = true;
  if (readiness.writable) slot.writable = true;
  if (readiness.short_proves_nothing) slot.short_proves_nothing = true;
  // First those that only look, before a read takes what they wait to see.
  RunWaiters(slot, sink);
  RunReader(slot, sink);
  RunWriter(slot, sink);
}

void ReadinessTable::CompleteAll(int32_t result, CompletionSink& sink) {
  for (uint32_t number = 0; number < constructed_; ++number) {
    Slot& slot = slots_[number];
    if (slot.reader != nullptr) Complete(*std::exchange(slot.reader, nullptr), result, sink);
    if (slot.writer != nullptr) Complete(*std::exchange(slot.writer, nullptr), result, sink);
    while (Operation* waiter = slot.waiters.PopFront()) Complete(*waiter, result, sink);
  }
}

bool ReadinessTable::AnyInFlight() const {
  for (uint32_t number = 0; number < constructed_; ++number) {
    const Slot& slot = slots_[number];
    if (slot.reader != nullptr || slot.writer != nullptr || !slot.waiters.empty()) return true;
  }
  return false;
}

}  // namespace tenon
