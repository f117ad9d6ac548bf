#include "tenon/tools/bench/file_subjects.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tenon/tools/bench/file_work.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

// The floor: what the system calls themselves cost, without anything asynchronous.
absl::Status RunBlockingFiles(FileWork& work) {
  while (const std::optional<FileWork::Transfer> next = work.Begin(0)) {
    char* const data = next->buffer.data();
    const ssize_t moved = work.writes() ? pwrite(work.fd(), data, kFileBlockSize, next->offset)
                                        : pread(work.fd(), data, kFileBlockSize, next->offset);
    const int64_t result = moved < 0 ? -errno : moved;
    const int64_t synced = work.syncs() && fsync(work.fd()) != 0 ? -errno : 0;
    work.End(0, result, synced);
  }
  return absl::OkStatus();
}

std::vector<FileSubject> FileSubjects() {
  std::vector<FileSubject> subjects;
  for (Subject& ours : TenonSubjects("file operations")) {
    const std::string backend = ours.name;
    subjects.push_back(
        {std::move(ours), [backend](FileWork& work) { return RunTenonFiles(backend, work); }});
  }
  subjects.push_back(
      {HandwrittenIoUring("a registered file, writes linked to their fsync"), &RunRawIoUringFiles});
  subjects.push_back(
      {Handwritten("raw-pread", "pread, pwrite and fsync, one after another"), &RunBlockingFiles});
  subjects.push_back(
      {Libuv("uv_fs_read, uv_fs_write, uv_fs_fsync on its four threads"), &RunLibuvFiles});
  return subjects;
}

}  // namespace tenon::bench
