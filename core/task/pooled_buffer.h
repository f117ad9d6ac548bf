// Receiving into buffers of the loop's pool.

#ifndef TENON_CORE_TASK_POOLED_BUFFER_H_
#define TENON_CORE_TASK_POOLED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/task/operation_awaiter.h"

namespace tenon {

// Bytes that were received into a buffer of the loop's pool, which goes back to the pool exactly
// once, when this is destroyed (CMP-10). Empty at the end of the stream. Move-only.
//
// Ownership: of the lease. The loop outlives it.
// Threads: the loop's thread.
class PooledBuffer {
 public:
  PooledBuffer() = default;
  // REQUIRES: `buffer_id` is lent to the caller, and its first `size` bytes were received.
  PooledBuffer(Loop& loop, uint16_t buffer_id, size_t size)
      : loop_(&loop), buffer_id_(buffer_id), size_(size) {}
  PooledBuffer(PooledBuffer&& other) noexcept
      : loop_(std::exchange(other.loop_, nullptr)),
        buffer_id_(other.buffer_id_),
        size_(std::exchange(other.size_, 0)) {}
  PooledBuffer& operator=(PooledBuffer&& other) noexcept {
    if (this == &other) return *this;
    Reset();
    loop_ = std::exchange(other.loop_, nullptr);
    buffer_id_ = other.buffer_id_;
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~PooledBuffer() { Reset(); }

  // What was received. Valid while this lives.
  absl::Span<char> bytes() const {
    return loop_ == nullptr ? absl::Span<char>() : loop_->Buffer(buffer_id_).first(size_);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Gives the buffer back now.
  void Reset() {
    size_ = 0;
    if (loop_ != nullptr) std::exchange(loop_, nullptr)->ReturnBuffer(buffer_id_);
  }

 private:
  Loop* loop_ = nullptr;
  uint16_t buffer_id_ = 0;
  size_t size_ = 0;
};

// The buffer of a completion, if it has one.
inline PooledBuffer TakeBuffer(Loop& loop, const Operation& operation) {
  if (!operation.has_buffer()) return {};
  return {loop, operation.buffer_id(), static_cast<size_t>(operation.result())};
}

// Awaits a RecvPooled. Made by it.
class [[nodiscard]] PooledBufferResult : public OperationAwaiter {
 public:
  PooledBufferResult(Loop& loop, Handle socket, int flags) : OperationAwaiter(loop, &Completed) {
    operation().PrepareRecvPooled(socket, flags);
  }

  absl::StatusOr<PooledBuffer> await_resume() noexcept {
    if (!begun()) return absl::Status(absl::StatusCode::kCancelled, "");
    if (operation().result() < 0) return OperationError(Opcode::kRecv, operation().result());
    return TakeBuffer(loop(), operation());
  }
};

// Receives into a buffer that is taken only when there is data, so that idle connections hold none.
// Results in the buffer, empty at the end of the stream; ResourceExhausted where every buffer is
// lent; Unimplemented before Loop::RegisterBuffers. Stops and errors as in operations.h.
inline PooledBufferResult RecvPooled(Loop& loop, Handle socket, int flags = 0) {
  return {loop, socket, flags};
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_POOLED_BUFFER_H_
