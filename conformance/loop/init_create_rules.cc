// INIT-1, INIT-2, INIT-6 and INIT-8: what Create leaves, whether it fails or not.

#include <sys/syscall.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/descriptor_limit.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/faults/sweep.h"
#include "tenon/conformance/faults/syscall_filter.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/echo_probe.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Small tables: the loops of these rules are made by the thousand.
constexpr LoopOptions kSmall = {.max_handles = 64, .queue_depth = 16};

// Makes a loop, destroys it, and returns what Create said.
absl::Status CreateLoop(LoopRule& rule, const LoopOptions& options = kSmall) {
  return Loop::Create(rule.factory(), options, rule.allocator()).status();
}

absl::Status CreateBackend(LoopRule& rule) {
  return rule.factory().Create(kSmall, rule.allocator()).status();
}

// Makes a loop and does with it a little of everything: a half-made one would fail at it.
void ExpectWholeLoop(LoopRule& rule, std::string_view when) {
  EchoProbe probe;
  RecordingOperation timer, work;
  absl::StatusOr<Owned<Loop>> created = Loop::Create(rule.factory(), kSmall, rule.allocator());
  ASSERT_TRUE(created.ok()) << when << " Create failed: " << created.status();
  Loop& loop = **created;
  probe.Adopt(loop);
  probe.ExpectWorks(loop, when);
  timer.PrepareTimer(kMillisecondNs);
  work.PrepareWork([](void*) { return 17; }, nullptr);
  loop.Submit(timer);
  loop.Submit(work);
  EXPECT_TRUE(TurnUntilDone(loop, {&timer, &work}))
      << when << " not all completed: " << timer.Describe() << "; " << work.Describe();
  EXPECT_EQ(work.final_result(), 17) << when << " Work did not return its function's result";
}

// A refusal by the kernel and, for messages, what it stands for.
struct Refusal {
  std::string_view name;
  std::vector<RefusedSyscall> calls;
};

// What Create may need beside memory. Where a backend does without, Create succeeds and there is
// nothing to judge.
std::vector<Refusal> RefusalsOfCreate() {
  std::vector<Refusal> refusals = {
      {"epoll instances", {{SYS_epoll_create1, ENOMEM}, {SYS_epoll_ctl, ENOMEM}}},
      {"epoll registrations", {{SYS_epoll_ctl, ENOSPC}}},
      {"rings", {{SYS_io_uring_setup, ENOMEM}}},
      {"ring registrations", {{SYS_io_uring_register, ENOMEM}}},
      {"eventfds", {{SYS_eventfd2, ENFILE}}},
      {"timerfds", {{SYS_timerfd_create, ENFILE}}},
      {"threads", {{SYS_clone3, EAGAIN}, {SYS_clone, EAGAIN}}},
      {"advice on memory", {{SYS_madvise, EINVAL}}},
  };
  // Sanitizers map memory of their own and die without it.
  if (!kSanitized) refusals.push_back({"mappings", {{SYS_mmap, ENOMEM}}});
  return refusals;
}

// In a child: what a Create that fails for good leaves of its three attempts.
absl::Status FailThreeTimes(LoopRule& rule) {
  const absl::Status status = CreateLoop(rule);
  if (status.ok()) return status;
  // The first failure may have loaded what error messages need.
  const Ledger ledger(&rule.tracking());
  for (int attempt = 0; attempt < 2; ++attempt) CreateLoop(rule).IgnoreError();
  std::vector<std::string> left = ledger.Differences();
  for (std::string& memory : ledger.NewAnonymousMemory()) left.push_back(std::move(memory));
  EXPECT_TRUE(left.empty()) << "left behind by a Create that failed with " << status << ": "
                            << absl::StrJoin(left, "; ");
  return status;
}

void ExpectRefusalLeavesNothing(LoopRule& rule, const Refusal& refusal) {
  SCOPED_TRACE(absl::StrCat("the kernel refuses ", refusal.name));
  const ChildOutcome outcome =
      RunWithRefusedSyscalls(refusal.calls, [&] { return FailThreeTimes(rule); });
  EXPECT_TRUE(outcome.returned) << "Create did not report a refusal of " << refusal.name
                                << " but ended the process: " << outcome.Describe();
}

// Fails the first, second, ... use of something while a loop is created, and makes another one
// afterwards. `arm(n)` makes the nth use fail; `disarm` ends that and says whether it was met.
uint64_t FailAndTryAgain(LoopRule& rule, std::string_view what,
                         absl::FunctionRef<void(uint64_t)> arm,
                         absl::FunctionRef<bool(const absl::Status&)> disarm) {
  constexpr uint64_t kLimit = 1'000;
  for (uint64_t n = 1; n <= kLimit; ++n) {
    arm(n);
    const absl::Status status = CreateLoop(rule);
    if (!disarm(status)) return n - 1;
    const std::string when =
        absl::StrCat("after a Create that failed for want of ", what, " ", n, ",");
    EXPECT_FALSE(status.ok()) << "Create succeeded without " << what << " " << n;
    ExpectWholeLoop(rule, when);
    if (testing::Test::HasFailure()) return n;
  }
  ADD_FAILURE() << "Create asks for more than " << kLimit << " of " << what;
  return kLimit;
}

}  // namespace

void INIT_1(LoopRule& rule) {
  const auto judged = [](absl::Status status) {
    // A message would have to be allocated, just where memory has run out.
    EXPECT_TRUE(status.ok() || status.message().empty())
        << "a Create without memory allocated a message: " << status;
    return status;
  };
  SweepAllocations(rule.context(), {}, [&] { return judged(CreateBackend(rule)); });
  if (testing::Test::HasFailure()) return;
  // The loop has tables and threads of its own before and after those of its backend.
  SweepAllocations(rule.context(), {}, [&] { return judged(CreateLoop(rule)); });
  if (testing::Test::HasFailure()) return;
  SweepAllocations(rule.context(), {}, [&] {
    return judged(CreateLoop(rule, {.max_handles = 1, .queue_depth = 1, .work_threads = 8}));
  });
  ExpectWholeLoop(rule, "after the sweeps");
}

void INIT_2(LoopRule& rule) {
  SweepAllocations(rule.context(), {.expected_code = std::nullopt},
                   [&] { return CreateLoop(rule); });
  if (testing::Test::HasFailure()) return;
  DescriptorFaults descriptors;
  Sweep(rule.context(), descriptors, {.expected_code = std::nullopt},
        [&] { return CreateLoop(rule); });
  if (testing::Test::HasFailure()) return;

  const Ledger ledger(&rule.tracking());
  EXPECT_FALSE(CreateLoop(rule, {.max_handles = 0}).ok()) << "a loop without handles was made";
  EXPECT_FALSE(CreateLoop(rule, {.work_threads = 1'000}).ok()) << "1,000 threads were made";
  const std::vector<std::string> left = ledger.Differences();
  EXPECT_TRUE(left.empty()) << "left behind by a Create that refused its options: "
                            << absl::StrJoin(left, "; ");

  for (const Refusal& refusal : RefusalsOfCreate()) ExpectRefusalLeavesNothing(rule, refusal);
}

void INIT_6(LoopRule& rule) {
  const uint64_t allocations = FailAndTryAgain(
      rule, "allocation", [&](uint64_t n) { rule.faults().FailNth(n); },
      [&](const absl::Status&) {
        const bool met = rule.faults().injected() > 0;
        rule.faults().Clear();
        return met;
      });
  EXPECT_GT(allocations, 0u) << "Create asked the allocator for nothing";
  if (testing::Test::HasFailure()) return;

  DescriptorFaults descriptors;
  FailAndTryAgain(
      rule, "descriptor", [&](uint64_t n) { descriptors.Arm(n, FaultMode::kSticky); },
      [&](const absl::Status& status) {
        descriptors.Disarm();
        return !status.ok();
      });

  // A failure for a while, as under pressure, and not just once.
  rule.faults().FailFrom(1);
  for (int attempt = 0; attempt < 50; ++attempt) {
    EXPECT_FALSE(CreateLoop(rule).ok()) << "Create succeeded without any memory";
  }
  rule.faults().Clear();
  ExpectWholeLoop(rule, "after fifty failures of Create");
}

void INIT_8(LoopRule& rule) {
  constexpr int kCycles = 1'000;
  std::uniform_int_distribution<uint32_t> handles(1, 256), depth(1, 256), threads(1, 3);
  const auto cycle = [&](int number) {
    RecordingOperation timer, recv;
    char byte = 0;
    const Owned<Loop> loop = MakeLoop(rule, {.max_handles = handles(rule.random()),
                                             .queue_depth = depth(rule.random()),
                                             .work_threads = threads(rule.random())});
    ASSERT_NE(loop, nullptr) << "in cycle " << number;
    // Some are destroyed as they were made, some with an idle handle, some with work in flight.
    DescriptorPair pair = MakeSocketPair();
    if (number % 3 == 0) return;
    const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
    if (number % 3 == 1) return;
    recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
    timer.PrepareTimer(kSecondNs);
    loop->Submit(recv);
    loop->Submit(timer);
    loop->Poll();
  };
  cycle(2);  // what libraries load at first use
  const Ledger ledger(&rule.tracking());
  for (int number = 1; number <= kCycles; ++number) {
    ASSERT_NO_FATAL_FAILURE(cycle(number));
  }
  const std::vector<std::string> left = ledger.Differences();
  EXPECT_TRUE(left.empty()) << "left behind by " << kCycles
                            << " cycles of create and destroy: " << absl::StrJoin(left, "; ");
}

}  // namespace tenon::conformance::loop_rules
