// What accesses the measured file, as a table.

#ifndef TENON_TOOLS_BENCH_FILE_SUBJECTS_H_
#define TENON_TOOLS_BENCH_FILE_SUBJECTS_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/file_work.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

struct FileSubject {
  Subject subject;
  // Keeps as many operations underway as the load says until there are no more. An error only of
  // the subject itself: those of operations are the work's.
  std::function<absl::Status(FileWork& work)> run;
};

// All subjects, ours first.
std::vector<FileSubject> FileSubjects();

// Threads for file operations where there is no native way: as many as libuv has by default.
inline constexpr int kFileThreads = 4;

absl::Status RunTenonFiles(absl::string_view backend, FileWork& work);
absl::Status RunRawIoUringFiles(FileWork& work);
absl::Status RunBlockingFiles(FileWork& work);
absl::Status RunLibuvFiles(FileWork& work);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_FILE_SUBJECTS_H_
