// `bench files`: what reads, writes and appends that are made durable cost, one and many at a time.

#ifndef TENON_TOOLS_BENCH_FILE_BENCH_H_
#define TENON_TOOLS_BENCH_FILE_BENCH_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"

namespace tenon::bench {

struct FilePlan {
  // Never empty.
  std::vector<FileSubject> subjects;
  // Of FileCases; never empty.
  std::vector<std::string> cases;
  // Where the files are made, in a directory of their own that is removed in the end.
  std::string directory;
  // Size of the file, in blocks of kFileBlockSize.
  size_t blocks = 0;
  int64_t window_ns = 0;
  RunPlan run;
};

// "read/1", "read/32", and so on: what is done, and how many at a time.
std::vector<std::string> FileCases();

// REQUIRES, errors: as RunEcho; and what keeps the files from being made.
absl::StatusOr<Report> RunFiles(const FilePlan& plan);

Command FilesCommand();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_FILE_BENCH_H_
