// File operations on io_uring as an expert writes them by hand: a registered file, one system call
// a turn, a write and its fsync in one link.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "liburing.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/file_work.h"
#include "tenon/tools/bench/raw_ring.h"

namespace tenon::bench {
namespace {

// Index of the file among the registered ones.
constexpr int kFile = 0;

// In the lowest bit of user_data; the rest is the slot. Of a write that is followed by an fsync
// only a failure is told, which the fsync tells too, with -ECANCELED.
enum Kind : uint64_t { kLast = 0, kLinked = 1 };

class RawIoUringFiles {
 public:
  explicit RawIoUringFiles(FileWork& work) : work_(work) {}

  absl::Status Run() {
    absl::Status status = ring_.Init();
    if (!status.ok()) return status;
    const int fd = work_.fd();
    const int error = io_uring_register_files(ring_.get(), &fd, 1);
    if (error < 0) return absl::ErrnoToStatus(-error, "io_uring_register_files");
    for (size_t slot = 0; slot < work_.load().depth; ++slot) Begin(slot);
    while (underway_ > 0) {
      const int submitted = io_uring_submit_and_wait(ring_.get(), 1);
      if (submitted < 0 && submitted != -EINTR) {
        return absl::ErrnoToStatus(-submitted, "io_uring_enter");
      }
      TakeCompletions();
    }
    return absl::OkStatus();
  }

 private:
  void Begin(size_t slot) {
    const std::optional<FileWork::Transfer> next = work_.Begin(slot);
    if (!next.has_value()) return;
    ++underway_;
    io_uring_sqe* entry = ring_.Next();
    const auto size = static_cast<unsigned>(next->buffer.size());
    const auto offset = static_cast<uint64_t>(next->offset);
    if (work_.writes()) {
      io_uring_prep_write(entry, kFile, next->buffer.data(), size, offset);
    } else {
      io_uring_prep_read(entry, kFile, next->buffer.data(), size, offset);
    }
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, slot << 1 | (work_.syncs() ? kLinked : kLast));
    if (!work_.syncs()) return;
    entry->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    entry = ring_.Next();
    io_uring_prep_fsync(entry, kFile, 0);
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, slot << 1 | kLast);
  }

  void TakeCompletions() {
    io_uring_cqe* completion = nullptr;
    unsigned head = 0;
    unsigned taken = 0;
    io_uring_for_each_cqe(ring_.get(), head, completion) {
      ++taken;
      Complete(*completion);
    }
    io_uring_cq_advance(ring_.get(), taken);
  }

  void Complete(const io_uring_cqe& completion) {
    if ((completion.user_data & kLinked) != 0) return;
    const auto slot = static_cast<size_t>(completion.user_data >> 1);
    const int result = completion.res;
    --underway_;
    // An fsync that went well follows a write that did: a short one breaks the link.
    const auto moved = static_cast<int64_t>(kFileBlockSize);
    work_.End(slot, work_.syncs() ? moved : result, work_.syncs() ? result : 0);
    Begin(slot);
  }

  FileWork& work_;
  RawRing ring_;
  size_t underway_ = 0;
};

}  // namespace

absl::Status RunRawIoUringFiles(FileWork& work) { return RawIoUringFiles(work).Run(); }

}  // namespace tenon::bench
