#include "tenon/tools/bench/file_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/file_work.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

bool IsEmpty(const std::string& directory) { return std::filesystem::is_empty(directory); }

// An empty directory of this test's own.
std::string MakeDirectory() {
  std::string path = absl::StrCat(testing::TempDir(), "/file_bench_test-XXXXXX");
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path;
}

FilePlan SmallPlan(FileSubject subject, const std::string& directory) {
  FilePlan plan;
  plan.subjects = {std::move(subject)};
  plan.cases = FileCases();
  plan.directory = directory;
  plan.blocks = 300;
  plan.window_ns = 10'000'000;
  plan.run.rounds = 1;
  plan.run.count_system_calls = false;
  return plan;
}

std::vector<FileSubject> UsableSubjects() {
  std::vector<FileSubject> usable;
  for (FileSubject& subject : FileSubjects()) {
    if (Probe(subject.subject).ok()) usable.push_back(std::move(subject));
  }
  return usable;
}

class EveryFileSubject : public ::testing::TestWithParam<FileSubject> {};

// Blocks that were not the right ones are the work's error.
TEST_P(EveryFileSubject, DoesEveryCaseAndLeavesNothing) {
  const std::string directory = MakeDirectory();
  absl::StatusOr<Report> report = RunFiles(SmallPlan(GetParam(), directory));
  ASSERT_TRUE(report.ok()) << report.status();
  for (const std::string& case_name : FileCases()) {
    for (const char* metric : {"cpu_per_op", "throughput", "latency_p50", "latency_p99.9"}) {
      const Result* result =
          FindResult(*report, "files", case_name, GetParam().subject.name, metric);
      ASSERT_NE(result, nullptr) << case_name << " " << metric;
      EXPECT_GT(result->summary.min, 0) << case_name << " " << metric;
    }
  }
  EXPECT_THAT(report->notes.back(), HasSubstr("page cache"));
  EXPECT_TRUE(IsEmpty(directory));
  EXPECT_FALSE(HasChildren());
}

INSTANTIATE_TEST_SUITE_P(All, EveryFileSubject, ::testing::ValuesIn(UsableSubjects()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param.subject.name, {{"-", "_"}});
                         });

TEST(RunFilesTest, RefusesWhoDoesNotRead) {
  const std::string directory = MakeDirectory();
  FilePlan plan = SmallPlan({.subject = Handwritten("bad", "says it has read"),
                             .run =
                                 [](FileWork& work) {
                                   while (work.Begin(0).has_value()) work.End(0, kFileBlockSize, 0);
                                   return absl::OkStatus();
                                 }},
                            directory);
  plan.cases = {"read/1"};
  absl::StatusOr<Report> report = RunFiles(plan);
  EXPECT_THAT(report.status().message(), HasSubstr("subject bad, read/1"));
  EXPECT_THAT(report.status().message(), HasSubstr("is another one"));
  EXPECT_TRUE(IsEmpty(directory));
}

TEST(RunFilesTest, SaysWhichDirectoryItCannotUse) {
  absl::StatusOr<Report> report = RunFiles(SmallPlan(UsableSubjects()[0], "/nonexistent"));
  EXPECT_TRUE(absl::IsNotFound(report.status())) << report.status();
  EXPECT_THAT(report.status().message(), HasSubstr("/nonexistent"));
  EXPECT_THAT(report.status().message(), HasSubstr("--dir"));
}

class FileWorkTest : public ::testing::Test {
 protected:
  std::unique_ptr<FileWork> Open(FileAccess access) {
    const std::string path = MakeDirectory() + "/file";
    EXPECT_TRUE(FileWork::Fill(path, 300).ok());
    auto work = FileWork::Open(
        {.access = access, .depth = 2, .path = path, .blocks = 300, .window_ns = 60'000'000'000});
    EXPECT_TRUE(work.ok()) << work.status();
    return *std::move(work);
  }
};

TEST_F(FileWorkTest, ABlockHoldsItsNumber) {
  std::unique_ptr<FileWork> work = Open(FileAccess::kRead);
  for (int i = 0; i < 1000; ++i) {
    const std::optional<FileWork::Transfer> next = work->Begin(1);
    ASSERT_TRUE(next.has_value());
    ASSERT_EQ(pread(work->fd(), next->buffer.data(), kFileBlockSize, next->offset),
              static_cast<ssize_t>(kFileBlockSize));
    work->End(1, kFileBlockSize, 0);
  }
  EXPECT_TRUE(work->status().ok()) << work->status();
  EXPECT_EQ(work->operations(), 1000);
  EXPECT_EQ(work->latency().count(), 1000);
}

TEST_F(FileWorkTest, AnErrorEndsIt) {
  for (int64_t result : {int64_t{-EIO}, int64_t{0}, int64_t{100}}) {
    std::unique_ptr<FileWork> work = Open(FileAccess::kWrite);
    ASSERT_TRUE(work->Begin(0).has_value());
    work->End(0, result, 0);
    EXPECT_FALSE(work->status().ok());
    EXPECT_FALSE(work->Begin(0).has_value());
  }
  std::unique_ptr<FileWork> work = Open(FileAccess::kAppend);
  ASSERT_TRUE(work->Begin(0).has_value());
  work->End(0, kFileBlockSize, -EIO);
  EXPECT_THAT(work->status().message(), HasSubstr("fsync"));
}

TEST(FileWorkEventsTest, FrameTheOperations) {
  const std::string path = MakeDirectory() + "/file";
  ASSERT_TRUE(FileWork::Fill(path, 300).ok());
  std::string events;
  auto work = FileWork::Open({.depth = 2, .path = path, .blocks = 300, .window_ns = 60'000'000'000},
                             {.began = [&] { events += 'b'; }, .ended = [&] { events += 'e'; }});
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_EQ(events, "");
  ASSERT_TRUE((*work)->Begin(0).has_value());
  ASSERT_TRUE((*work)->Begin(1).has_value());
  EXPECT_EQ(events, "b");
  (*work)->End(0, -EIO, 0);
  EXPECT_FALSE((*work)->Begin(0).has_value());
  EXPECT_EQ(events, "b") << "the other is underway";
  (*work)->End(1, -EIO, 0);
  EXPECT_FALSE((*work)->Begin(1).has_value());
  EXPECT_FALSE((*work)->Begin(0).has_value());
  EXPECT_EQ(events, "be");
}

TEST_F(FileWorkTest, AppendsOneBlockBehindTheOther) {
  std::unique_ptr<FileWork> work = Open(FileAccess::kAppend);
  for (int64_t i = 0; i < 301; ++i) {
    const std::optional<FileWork::Transfer> next = work->Begin(0);
    ASSERT_TRUE(next.has_value());
    EXPECT_EQ(next->offset, i % 300 * static_cast<int64_t>(kFileBlockSize));
    work->End(0, kFileBlockSize, 0);
  }
}

}  // namespace
}  // namespace tenon::bench
