#include "tenon/tools/bench/heap/heap_bench.h"

#include <errno.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/heap/heap_patterns.h"
#include "tenon/tools/bench/heap/heap_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

HeapPlan SmallPlan(HeapSubject subject) {
  return {.subjects = {std::move(subject)},
          .cases = HeapCases(2),
          .counted_cases = HeapCases(1),
          .run = {.rounds = 1, .count_system_calls = false}};
}

std::vector<HeapSubject> UsableSubjects() {
  std::vector<HeapSubject> usable;
  for (HeapSubject& subject : HeapSubjects()) {
    if (Probe(subject.subject).ok()) usable.push_back(std::move(subject));
  }
  return usable;
}

// As a test may be called.
std::string TestName(std::string name) {
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

class EveryHeapSubject : public ::testing::TestWithParam<HeapSubject> {};

TEST_P(EveryHeapSubject, DoesEveryCase) {
  const absl::StatusOr<Report> report = RunHeaps(SmallPlan(GetParam()));
  ASSERT_TRUE(report.ok()) << report.status();
  const std::string& name = GetParam().subject.name;
  for (const HeapCase& each : HeapCases(2)) {
    for (const char* metric : {"cpu_per_op", "throughput", "peak_rss"}) {
      const Result* result = FindResult(*report, "alloc", each.name, name, metric);
      ASSERT_NE(result, nullptr) << each.name << " " << metric;
      EXPECT_GT(result->summary.min, 0) << each.name << " " << metric;
      EXPECT_EQ(result->summary.rounds, 1u);
    }
  }
  EXPECT_FALSE(HasChildren());
}

INSTANTIATE_TEST_SUITE_P(All, EveryHeapSubject, ::testing::ValuesIn(UsableSubjects()),
                         [](const auto& info) { return TestName(info.param.subject.name); });

// Knows its blocks: whether each is given back once, with the size that it has.
class CheckedHeap {
 public:
  void* Allocate(size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    void* const ptr = std::malloc(size);
    sizes_[ptr] = size;
    ++allocations;
    return ptr;
  }
  void Free(void* ptr, size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sizes_.find(ptr);
    if (found == sizes_.end() || found->second != size) ++mistakes;
    if (found != sizes_.end()) sizes_.erase(found);
    std::free(ptr);
  }
  void* Reallocate(void* ptr, size_t size, size_t new_size) {
    Free(ptr, size);
    return Allocate(new_size);
  }
  size_t live() const { return sizes_.size(); }

  int allocations = 0;
  int mistakes = 0;

 private:
  std::mutex mutex_;
  std::map<void*, size_t> sizes_;
};

class EveryHeapCase : public ::testing::TestWithParam<HeapCase> {};

TEST_P(EveryHeapCase, FreesEachOfItsBlocksOnce) {
  const SystemCallCounter none;
  Figures figures[1];
  Stopwatch stopwatch(none, absl::MakeSpan(figures));
  CheckedHeap heap;
  const absl::Status status = RunPattern(heap, GetParam().load, stopwatch);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(heap.mistakes, 0);
  EXPECT_EQ(heap.live(), 0u);
  EXPECT_EQ(figures[0].operations, GetParam().load.operations);
  // Not fewer than are said to be measured, but for what the exchanges do not divide.
  EXPECT_GE(heap.allocations, GetParam().load.operations * 9 / 10);
}

INSTANTIATE_TEST_SUITE_P(All, EveryHeapCase, ::testing::ValuesIn(HeapCases(2)),
                         [](const auto& info) { return TestName(info.param.name); });

TEST(HeapRandomTest, SizesAreFromSixteenBytesToOneKibibyte) {
  HeapRandom random(1);
  size_t smallest = SIZE_MAX;
  size_t largest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const size_t size = random.Size();
    smallest = std::min(smallest, size);
    largest = std::max(largest, size);
  }
  EXPECT_EQ(smallest, 16u);
  EXPECT_LE(largest, 1024u);
  EXPECT_GE(largest, 512u);
}

TEST(RunHeapsTest, SaysWhoFailed) {
  const absl::StatusOr<Report> report = RunHeaps(
      SmallPlan({.subject = Handwritten("bad", "fails"), .run = [](const HeapLoad&, Stopwatch&) {
                   return absl::ResourceExhaustedError("no heap today");
                 }}));
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("subject bad"));
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("no heap today"));
  EXPECT_FALSE(HasChildren());
}

}  // namespace
}  // namespace tenon::bench
