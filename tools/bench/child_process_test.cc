#include "tenon/tools/bench/child_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/shared_memory.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMinute = 60'000'000'000;
constexpr int kCalls = 1000;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

void MakeCalls() {
  for (int i = 0; i < kCalls; ++i) syscall(SYS_getppid);
}

TEST(ChildProcessTest, WaitsForItsEnd) {
  auto process = ChildProcess::Start({}, [](const SystemCallCounter&) { return absl::OkStatus(); });
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE((*process)->Wait(-1, kMinute).ok());
  EXPECT_FALSE(HasChildren());
  EXPECT_TRUE(absl::IsUnavailable((*process)->ReadCpuTime().status()));
}

TEST(ChildProcessTest, SaysWhyItEnded) {
  for (bool traced : {false, true}) {
    auto process =
        ChildProcess::Start({.cpu = -1, .count_system_calls = traced},
                            [](const SystemCallCounter&) { return absl::DataLossError("lost"); });
    ASSERT_TRUE(process.ok()) << process.status();
    const absl::Status status = (*process)->Wait(-1, kMinute);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), ::testing::AnyOf(HasSubstr("lost"), HasSubstr("ptrace")));
  }
  auto process = ChildProcess::Start({}, [](const SystemCallCounter&) {
    raise(SIGKILL);
    return absl::OkStatus();
  });
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_THAT((*process)->Wait(-1, kMinute).message(), HasSubstr("died of"));
  EXPECT_FALSE(HasChildren());
}

TEST(ChildProcessTest, IsStoppedWhileItRuns) {
  for (bool traced : {false, true}) {
    auto process = ChildProcess::Start({.cpu = -1, .count_system_calls = traced},
                                       [](const SystemCallCounter&) {
                                         pause();
                                         return absl::OkStatus();
                                       });
    ASSERT_TRUE(process.ok()) << process.status();
    EXPECT_TRUE(traced || absl::IsDeadlineExceeded((*process)->Wait(-1, 0)));
    (*process)->Stop();
    EXPECT_FALSE(HasChildren());
  }
}

TEST(ChildProcessTest, WaitIsCancelled) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  auto process = ChildProcess::Start({}, [](const SystemCallCounter&) {
    pause();
    return absl::OkStatus();
  });
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_TRUE(absl::IsCancelled((*process)->Wait(ends[0], kMinute)));
  close(ends[0]);
  close(ends[1]);
}

struct Count {
  int64_t calls = 0;
};

// What the child counts of itself while `body` runs; -1 where nothing may be traced.
int64_t CountedDuring(bool count, void (*body)()) {
  absl::StatusOr<SharedMemory<Count>> result = SharedMemory<Count>::Create();
  if (!result.ok()) return -1;
  auto process = ChildProcess::Start({.cpu = -1, .count_system_calls = count},
                                     [&](const SystemCallCounter& system_calls) {
                                       const int64_t before = system_calls.Read();
                                       body();
                                       (*result)->calls = system_calls.Read() - before;
                                       return absl::OkStatus();
                                     });
  if (!process.ok()) return -1;
  const absl::Status status = (*process)->Wait(-1, kMinute);
  if (!status.ok()) {
    EXPECT_THAT(status.message(), HasSubstr("ptrace"));
    return -1;
  }
  return (*result)->calls;
}

TEST(ChildProcessTest, CountsSystemCallsOfAllThreads) {
  const int64_t alone = CountedDuring(true, &MakeCalls);
  if (alone < 0) return;  // What is said of that has been looked at.
  EXPECT_GE(alone, kCalls);
  EXPECT_LT(alone, kCalls + 10);
  const int64_t with_thread = CountedDuring(true, [] {
    std::thread other(&MakeCalls);
    MakeCalls();
    other.join();
  });
  EXPECT_GE(with_thread, 2 * kCalls);
  // Making and ending a thread takes some.
  EXPECT_LT(with_thread, 2 * kCalls + 500);
}

TEST(ChildProcessTest, CountsNothingUnlessAsked) { EXPECT_EQ(CountedDuring(false, &MakeCalls), 0); }

}  // namespace
}  // namespace tenon::bench
