// What is to be done to the measured file, and whether it was done: the same for every subject.

#ifndef TENON_TOOLS_BENCH_FILE_WORK_H_
#define TENON_TOOLS_BENCH_FILE_WORK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/latency_histogram.h"

namespace tenon::bench {

inline constexpr size_t kFileBlockSize = 4096;

enum class FileAccess {
  kRead,    // a block at random
  kWrite,   // a block at random, over what is there
  kAppend,  // a block behind the last one, then fsync: one operation
};

struct FileLoad {
  FileAccess access = FileAccess::kRead;
  // Operations underway at a time.
  size_t depth = 1;
  // For kAppend an empty file, else one that FileWork::Fill made.
  std::string path;
  size_t blocks = 0;
  int64_t window_ns = 0;
};

// Told when the first operation begins and when the last has ended, so that neither making a loop
// nor taking it apart is measured. Either may be empty.
struct FileWorkEvents {
  std::function<void()> began = {};
  std::function<void()> ended = {};
};

// Hands out operations until the time is over, and checks them as they end: every block holds its
// number, so that a read of another one is noticed, and a write of it too, by the next read.
//
// Ownership: owns the file and the buffers, one for each slot from 0 to depth - 1.
// Threads: one.
class FileWork {
 public:
  // Makes the file of a read or a write: `blocks` of them, flushed, and in the page cache.
  static absl::Status Fill(const std::string& path, size_t blocks);

  // Opens the file. The kernel's refusal.
  static absl::StatusOr<std::unique_ptr<FileWork>> Open(const FileLoad& load,
                                                        FileWorkEvents events = {});

  const FileLoad& load() const { return load_; }
  int fd() const { return file_.get(); }
  // Gives the descriptor up, to a loop that closes it.
  UniqueFd TakeFile() { return std::move(file_); }
  bool writes() const { return load_.access != FileAccess::kRead; }
  bool syncs() const { return load_.access == FileAccess::kAppend; }

  struct Transfer {
    absl::Span<char> buffer;
    int64_t offset = 0;
  };
  // The next operation of a slot that has none; none when time is over or after an error. The time
  // begins with the first.
  std::optional<Transfer> Begin(size_t slot);
  // It has ended: `result` is the count of bytes moved or a negated errno; `synced` likewise, 0 for
  // one that needs no fsync.
  void End(size_t slot, int64_t result, int64_t synced);

  // The first error of an operation, or OK.
  const absl::Status& status() const { return status_; }
  int64_t operations() const { return operations_; }
  const LatencyHistogram& latency() const { return latency_; }

 private:
  struct Slot {
    char* buffer = nullptr;
    uint64_t block = 0;
    int64_t begun_ns = 0;
  };
  struct Free {
    void operator()(char* memory) const;
  };

  FileWork(const FileLoad& load, FileWorkEvents events, UniqueFd file);

  uint64_t NextBlock();

  const FileLoad load_;
  FileWorkEvents events_;
  UniqueFd file_;
  std::unique_ptr<char, Free> memory_;
  std::vector<Slot> slots_;
  uint64_t random_ = 0x9e3779b97f4a7c15;
  uint64_t next_append_ = 0;
  // When time is over; 0 before the first operation.
  int64_t end_ns_ = 0;
  size_t underway_ = 0;
  int64_t operations_ = 0;
  absl::Status status_;
  LatencyHistogram latency_;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_FILE_WORK_H_
