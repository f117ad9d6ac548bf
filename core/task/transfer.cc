#include "tenon/core/task/transfer.h"

#include "tenon/core/loop/os_error.h"

namespace tenon {

TransferResult::TransferResult(Loop& loop, Opcode opcode, Handle handle, absl::Span<char> bytes,
                               int64_t offset, int flags)
    : OperationAwaiter(loop, &PartCompleted),
      opcode_(opcode),
      flags_(flags),
      handle_(handle),
      data_(bytes.data()),
      size_(bytes.size()),
      offset_(offset) {
  if (size_ > 0) Prepare();
}

void TransferResult::Prepare() {
  const absl::Span<char> rest(data_ + moved_, size_ - moved_);
  const int64_t offset =
      offset_ == kCurrentOffset ? kCurrentOffset : offset_ + static_cast<int64_t>(moved_);
  switch (opcode_) {
    case Opcode::kSend:
      return operation().PrepareSend(handle_, rest, flags_);
    case Opcode::kRecv:
      return operation().PrepareRecv(handle_, rest, flags_);
    case Opcode::kWrite:
      return operation().PrepareWrite(handle_, rest, offset);
    default:
      return operation().PrepareRead(handle_, rest, offset);
  }
}

void TransferResult::PartCompleted(Operation& operation) {
  auto& self = static_cast<TransferResult&>(*static_cast<OperationAwaiter*>(operation.context()));
  if (operation.result() > 0) {
    self.moved_ += static_cast<size_t>(operation.result());
    if (self.moved_ < self.size_ && !self.stop_requested()) {
      self.Prepare();
      self.loop().Submit(operation);
      return;
    }
  }
  self.Resume();
}

absl::Status TransferResult::await_resume() noexcept {
  if (moved_ == size_) return absl::OkStatus();
  const int32_t result = begun() ? operation().result() : -ECANCELED;
  if (result < 0) return OperationError(opcode_, result);
  if (result > 0) return absl::Status(absl::StatusCode::kCancelled, "");
  return StatusOf(absl::StatusCode::kOutOfRange, OpcodeName(opcode_), ": the stream ended after ",
                  moved_, " of ", size_,
                  " bytes; the peer closed it, or the file is shorter than expected");
}

}  // namespace tenon
