#include "tenon/tools/bench/file_bench.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/file_work.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

constexpr size_t kBlocks = (size_t{256} << 20) / kFileBlockSize;
constexpr size_t kQuickBlocks = (size_t{64} << 20) / kFileBlockSize;
constexpr int64_t kWindowNs = 300 * kMillisecond;
constexpr int64_t kQuickWindowNs = 60 * kMillisecond;

struct FileCase {
  const char* name;
  FileAccess access;
  size_t depth;
};

constexpr FileCase kCases[] = {
    {"read/1", FileAccess::kRead, 1},     {"read/32", FileAccess::kRead, 32},
    {"write/1", FileAccess::kWrite, 1},   {"write/32", FileAccess::kWrite, 32},
    {"append/1", FileAccess::kAppend, 1}, {"append/32", FileAccess::kAppend, 32},
};

const FileCase& FindCase(const std::string& name) {
  for (const FileCase& each : kCases) {
    if (name == each.name) return each;
  }
  return kCases[0];
}

// The files, gone when this is destroyed.
class Files {
 public:
  static absl::StatusOr<std::unique_ptr<Files>> Make(const std::string& parent, size_t blocks) {
    std::string directory = absl::StrCat(parent, "/tenon-bench-XXXXXX");
    if (mkdtemp(directory.data()) == nullptr) {
      return absl::ErrnoToStatus(
          errno, absl::StrCat("cannot make a directory in ", parent, " (another one: --dir)"));
    }
    std::unique_ptr<Files> files(new Files(std::move(directory)));
    absl::Status status = FileWork::Fill(files->filled(), blocks);
    if (!status.ok()) return status;
    return files;
  }
  ~Files() {
    unlink(filled().c_str());
    unlink(appended().c_str());
    rmdir(directory_.c_str());
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::string filled() const { return directory_ + "/filled"; }
  std::string appended() const { return directory_ + "/appended"; }

  // Makes the file to append to, or empties it.
  absl::Status Empty() const {
    const UniqueFd file(open(appended().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.ok()) return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", appended()));
    return absl::OkStatus();
  }

 private:
  explicit Files(std::string directory) : directory_(std::move(directory)) {}

  const std::string directory_;
};

std::string FilesystemOf(const std::string& directory) {
  struct statfs about;
  if (statfs(directory.c_str(), &about) != 0) return "an unknown file system";
  switch (static_cast<unsigned long>(about.f_type)) {
    case EXT4_SUPER_MAGIC:
      return "ext4";  // or ext2, ext3: they share the number
    case XFS_SUPER_MAGIC:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    default:
      return absl::StrFormat("file system %#x", about.f_type);
  }
}

std::string DefaultDirectory() {
  for (const char* name : {"TEST_TMPDIR", "TMPDIR"}) {
    const char* value = getenv(name);
    if (value != nullptr && value[0] != '\0') return value;
  }
  return "/tmp";
}

absl::StatusOr<std::vector<Figures>> MeasureOnce(const FilePlan& plan, const Files& files,
                                                 const FileCase& which, const FileSubject& subject,
                                                 bool counted) {
  const bool appends = which.access == FileAccess::kAppend;
  absl::Status status = appends ? files.Empty() : absl::OkStatus();
  if (!status.ok()) return status;
  const FileLoad load = {.access = which.access,
                         .depth = which.depth,
                         .path = appends ? files.appended() : files.filled(),
                         .blocks = plan.blocks,
                         .window_ns = plan.window_ns};
  return RunWorkload(
      [&](Stopwatch& stopwatch) {
        absl::StatusOr<std::unique_ptr<FileWork>> work = std::unique_ptr<FileWork>();
        work = FileWork::Open(
            load, {.began = [&] { stopwatch.Start(); },
                   .ended = [&] { stopwatch.Stop((*work)->operations(), &(*work)->latency()); }});
        if (!work.ok()) return work.status();
        absl::Status status = subject.run(**work);
        status.Update((*work)->status());
        return status;
      },
      1, {.cpu = -1, .count_system_calls = counted}, plan.run.cancel_fd);
}

}  // namespace

std::vector<std::string> FileCases() {
  std::vector<std::string> names;
  for (const FileCase& each : kCases) names.push_back(each.name);
  return names;
}

absl::StatusOr<Report> RunFiles(const FilePlan& plan) {
  absl::StatusOr<std::unique_ptr<Files>> files = Files::Make(plan.directory, plan.blocks);
  if (!files.ok()) return files.status();
  std::vector<Participant> participants;
  for (const FileSubject& subject : plan.subjects) {
    participants.push_back({.name = subject.subject.name, .ours = subject.subject.ours});
  }
  std::vector<CaseGroup> groups;
  for (const std::string& name : plan.cases) {
    groups.push_back({.name = name, .cases = {{.name = name}}});
  }
  absl::StatusOr<Report> report = RunRounds(
      "files", plan.run, groups, participants, [&](size_t group, size_t subject, Pass pass) {
        return MeasureOnce(plan, **files, FindCase(plan.cases[group]), plan.subjects[subject],
                           pass == Pass::kCounted);
      });
  if (report.ok()) {
    report->notes.push_back(absl::StrCat(
        "files: ", plan.blocks * kFileBlockSize >> 20, " MiB on ", FilesystemOf(plan.directory),
        ", all of it in the page cache; nothing is restricted to a processor; ", kFileThreads,
        " threads where a subject uses threads"));
  }
  return report;
}

Command FilesCommand() {
  std::vector<Subject> subjects;
  for (FileSubject& each : FileSubjects()) subjects.push_back(std::move(each.subject));
  return {.name = "files",
          .summary = "random 4 KiB reads and writes, appends with fsync",
          .options = {.subjects = NamesOf(subjects), .cases = FileCases(), .directory = true},
          .run = [subjects](const Options& options, int cancel_fd) {
            return RunCommand("files", options, subjects, cancel_fd,
                              [&](const std::vector<size_t>& chosen, const RunPlan& run) {
                                std::vector<FileSubject> all = FileSubjects();
                                FilePlan plan;
                                for (size_t i : chosen) plan.subjects.push_back(all[i]);
                                plan.cases = options.cases.empty() ? FileCases() : options.cases;
                                plan.directory = options.directory.empty() ? DefaultDirectory()
                                                                           : options.directory;
                                plan.blocks = options.quick ? kQuickBlocks : kBlocks;
                                plan.window_ns = options.quick ? kQuickWindowNs : kWindowNs;
                                plan.run = run;
                                return RunFiles(plan);
                              });
          }};
}

}  // namespace tenon::bench
