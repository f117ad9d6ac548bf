#include "tenon/core/task/multishot.h"
#include "tenon/core/loop/os_error.h"

#include <cerrno>
#include <utility>

namespace tenon {

MultishotStream::MultishotStream(Loop& loop, PrepareFunction prepare, StoreFunction store)
    : StopCallback([](StopCallback& callback) {
        // Next goes on when the operation has ended.
        auto& stream = static_cast<MultishotStream&>(callback);
        stream.awaits_idle_ = true;
        stream.stopped_ = true;
        stream.loop_.Cancel(stream.operation_);
      }),
      loop_(loop),
      prepare_(prepare),
      store_(store),
      operation_(&Completed, this) {}

bool MultishotStream::AwaitElement(TaskPromise& awaiting, bool has_element) noexcept {
  CHECK(awaiting_ == nullptr) << "a stream is awaited by two coroutines at once";
  const StopToken token = awaiting.context().stop_token();
  if (token.stop_requested()) {
    stopped_ = true;
    if (operation_.idle()) return false;
    AwaitIdle(awaiting);
    return true;
  }
  if (has_element || error_ != 0) return false;
  if (operation_.idle()) {
    prepare_(*this, operation_);
    loop_.Submit(operation_);
  }
  awaiting_ = &awaiting;
  Register(token);
  return true;
}

void MultishotStream::AwaitIdle(TaskPromise& awaiting) noexcept {
  CHECK(awaiting_ == nullptr) << "a stream is awaited by two coroutines at once";
  awaiting_ = &awaiting;
  awaits_idle_ = true;
  loop_.Cancel(operation_);
}

void MultishotStream::Pause() noexcept {
  pausing_ = true;
  loop_.Cancel(operation_);
}

absl::Status MultishotStream::TakeError() noexcept {
  return OperationError(operation_.opcode(), std::exchange(error_, 0));
}

void MultishotStream::Completed(Operation& operation) {
  auto& stream = *static_cast<MultishotStream*>(operation.context());
  bool has_element = false;
  if (operation.result() >= 0) {
    has_element = stream.store_(stream, operation);
  } else if (operation.result() != -ECANCELED || !stream.pausing_) {
    stream.error_ = operation.result();
  }
  if (operation.idle()) stream.pausing_ = false;
  if (stream.awaiting_ == nullptr) return;
  if (stream.awaits_idle_) {
    if (operation.idle()) stream.Resume();
  } else if (has_element || stream.error_ != 0) {
    stream.Resume();
  } else if (operation.idle()) {
    // A pause has ended.
    stream.prepare_(stream, operation);
    stream.loop_.Submit(operation);
  }
}

void MultishotStream::Resume() noexcept {
  Unregister();
  awaits_idle_ = false;
  TaskPromise& awaiting = *std::exchange(awaiting_, nullptr);
  awaiting.context().queue().Resume(awaiting);
}

AcceptStream::AcceptStream(Loop& loop, Handle listener)
    : MultishotStream(
          loop,
          [](MultishotStream& stream, Operation& operation) {
            operation.PrepareAcceptMultishot(static_cast<AcceptStream&>(stream).listener_);
          },
          &Store),
      listener_(listener) {}

bool AcceptStream::Store(MultishotStream& stream, const Operation& operation) {
  auto& self = static_cast<AcceptStream&>(stream);
  UniqueFd connection(operation.result());
  // None comes after the pause at the last place; should one, it is closed.
  if (!self.stored_.full()) self.stored_.Push(std::move(connection));
  if (self.stored_.full() && operation.has_more()) self.Pause();
  return true;
}

absl::StatusOr<UniqueFd> AcceptStream::Take() noexcept {
  if (TakeStopped()) return absl::Status(absl::StatusCode::kCancelled, "");
  if (!stored_.empty()) return stored_.Pop();
  return TakeError();
}

RecvStream::RecvStream(Loop& loop, Handle socket, int flags)
    : MultishotStream(
          loop,
          [](MultishotStream& stream, Operation& operation) {
            auto& self = static_cast<RecvStream&>(stream);
            operation.PrepareRecvMultishot(self.socket_, self.flags_);
          },
          &Store),
      socket_(socket),
      flags_(flags) {}

RecvStream::~RecvStream() {
  while (!stored_.empty()) loop().ReturnBuffer(stored_.Pop().buffer_id);
}

bool RecvStream::Store(MultishotStream& stream, const Operation& operation) {
  auto& self = static_cast<RecvStream&>(stream);
  if (!operation.has_buffer()) {
    self.ended_ = true;
    return true;
  }
  if (self.stored_.full()) {
    self.lost_ = true;
    self.loop().ReturnBuffer(operation.buffer_id());
  } else {
    self.stored_.Push(
        {.buffer_id = operation.buffer_id(), .size = static_cast<uint32_t>(operation.result())});
  }
  if (self.stored_.size() >= kPauseAt && operation.has_more()) self.Pause();
  return true;
}

absl::StatusOr<PooledBuffer> RecvStream::Take() noexcept {
  if (TakeStopped()) return absl::Status(absl::StatusCode::kCancelled, "");
  if (!stored_.empty()) {
    const Chunk chunk = stored_.Pop();
    return PooledBuffer(loop(), chunk.buffer_id, chunk.size);
  }
  if (lost_) {
    return StatusOf(absl::StatusCode::kDataLoss, "RecvStream: ", kCapacity,
                    " buffers were not taken in time and the next had no room; "
                    "await Next more often, or close the connection");
  }
  if (ended_) return PooledBuffer();
  return TakeError();
}

}  // namespace tenon
