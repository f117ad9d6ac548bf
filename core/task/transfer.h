// Operations that are repeated until all bytes are moved.

#ifndef TENON_CORE_TASK_TRANSFER_H_
#define TENON_CORE_TASK_TRANSFER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/task/operation_awaiter.h"

namespace tenon {

// Awaits a Send, Write, Recv or Read, resubmitted from its own completion while it is short (SUB-5,
// CMP-5): one frame, one resume, however many rounds. Made by the functions below.
class [[nodiscard]] TransferResult : public OperationAwaiter {
 public:
  TransferResult(Loop& loop, Opcode opcode, Handle handle, absl::Span<char> bytes, int64_t offset,
                 int flags);

  bool await_ready() const noexcept { return size_ == 0; }
  absl::Status await_resume() noexcept;

 private:
  static void PartCompleted(Operation& operation);

  // Prepares the operation for what remains.
  void Prepare();

  const Opcode opcode_;
  const int flags_;
  const Handle handle_;
  char* const data_;
  const size_t size_;
  const int64_t offset_;
  size_t moved_ = 0;
};

// Each results in OK when all bytes are moved; in Cancelled where the task is asked to stop before,
// and in the first error of the operation otherwise. How much had been moved by then is not said:
// what remains of the stream is of no use.

inline TransferResult SendAll(Loop& loop, Handle socket, absl::Span<const char> buffer,
                              int flags = 0) {
  // send(2) only reads it.
  return {loop,           Opcode::kSend, socket, {const_cast<char*>(buffer.data()), buffer.size()},
          kCurrentOffset, flags};
}

inline TransferResult WriteAll(Loop& loop, Handle handle, absl::Span<const char> buffer,
                               int64_t offset = kCurrentOffset) {
  // write(2) only reads it.
  return {loop, Opcode::kWrite, handle, {const_cast<char*>(buffer.data()), buffer.size()}, offset,
          0};
}

// OutOfRange where the stream, or the file, ends before.
inline TransferResult RecvExactly(Loop& loop, Handle socket, absl::Span<char> buffer,
                                  int flags = 0) {
  return {loop, Opcode::kRecv, socket, buffer, kCurrentOffset, flags};
}

inline TransferResult ReadExactly(Loop& loop, Handle handle, absl::Span<char> buffer,
                                  int64_t offset = kCurrentOffset) {
  return {loop, Opcode::kRead, handle, buffer, offset, 0};
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_TRANSFER_H_
