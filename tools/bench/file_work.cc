#include "tenon/tools/bench/file_work.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"

namespace tenon::bench {
namespace {

constexpr size_t kBlocksPerFill = 256;

// The number of a block is its first eight bytes.
void Stamp(char* block, uint64_t number) { std::memcpy(block, &number, sizeof(number)); }

uint64_t StampOf(const char* block) {
  uint64_t number;
  std::memcpy(&number, block, sizeof(number));
  return number;
}

}  // namespace

void FileWork::Free::operator()(char* memory) const { free(memory); }

absl::Status FileWork::Fill(const std::string& path, size_t blocks) {
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.ok()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  std::vector<char> chunk(kBlocksPerFill * kFileBlockSize, 'x');
  for (size_t first = 0; first < blocks; first += kBlocksPerFill) {
    const size_t count = std::min(kBlocksPerFill, blocks - first);
    for (size_t i = 0; i < count; ++i) Stamp(chunk.data() + i * kFileBlockSize, first + i);
    const auto size = static_cast<ssize_t>(count * kFileBlockSize);
    const ssize_t written = write(file.get(), chunk.data(), static_cast<size_t>(size));
    if (written == size) continue;
    return absl::ErrnoToStatus(written < 0 ? errno : ENOSPC, absl::StrCat("cannot fill ", path));
  }
  // What has still to be written would disturb the first rounds.
  if (fsync(file.get()) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("fsync of ", path));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileWork>> FileWork::Open(const FileLoad& load,
                                                         FileWorkEvents events) {
  UniqueFd file(open(load.path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.ok()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", load.path));
  return std::unique_ptr<FileWork>(new FileWork(load, std::move(events), std::move(file)));
}

FileWork::FileWork(const FileLoad& load, FileWorkEvents events, UniqueFd file)
    : load_(load), events_(std::move(events)), file_(std::move(file)), slots_(load.depth) {
  void* memory = nullptr;
  CHECK_EQ(posix_memalign(&memory, kFileBlockSize, load.depth * kFileBlockSize), 0);
  memory_.reset(static_cast<char*>(memory));
  std::memset(memory, 'x', load.depth * kFileBlockSize);
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].buffer = memory_.get() + i * kFileBlockSize;
  }
}

// Appending goes back to the beginning at the size that the other file has: the disk is not filled.
uint64_t FileWork::NextBlock() {
  if (syncs()) return next_append_++ % load_.blocks;
  // xorshift64*, see TimerLoad.
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ * 0x2545f4914f6cdd1d % load_.blocks;
}

std::optional<FileWork::Transfer> FileWork::Begin(size_t slot) {
  if (end_ns_ == 0) {
    if (events_.began) events_.began();
    end_ns_ = MonotonicNs() + load_.window_ns;
  }
  const int64_t now_ns = MonotonicNs();
  if (now_ns >= end_ns_ || !status_.ok()) {
    // Once: told, it is forgotten.
    if (underway_ == 0 && events_.ended) std::exchange(events_.ended, nullptr)();
    return std::nullopt;
  }
  ++underway_;
  Slot& which = slots_[slot];
  which.block = NextBlock();
  which.begun_ns = now_ns;
  Stamp(which.buffer, writes() ? which.block : ~which.block);
  return Transfer{.buffer = absl::MakeSpan(which.buffer, kFileBlockSize),
                  .offset = static_cast<int64_t>(which.block * kFileBlockSize)};
}

void FileWork::End(size_t slot, int64_t result, int64_t synced) {
  --underway_;
  const Slot& which = slots_[slot];
  latency_.Record(MonotonicNs() - which.begun_ns);
  ++operations_;
  if (result < 0) {
    status_.Update(absl::ErrnoToStatus(static_cast<int>(-result), "a block failed"));
  } else if (result != static_cast<int64_t>(kFileBlockSize)) {
    status_.Update(absl::DataLossError(absl::StrCat("a block of ", result, " bytes")));
  } else if (StampOf(which.buffer) != which.block) {
    status_.Update(absl::DataLossError(absl::StrCat("block ", which.block, " is another one")));
  }
  if (synced < 0) {
    status_.Update(absl::ErrnoToStatus(static_cast<int>(-synced), "fsync failed"));
  }
}

}  // namespace tenon::bench
