// INIT-3, INIT-4 and INIT-5: what is said where the kernel refuses.

#include <sys/resource.h>
#include <sys/syscall.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/descriptor_limit.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/faults/sweep.h"
#include "tenon/conformance/faults/syscall_filter.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr LoopOptions kSmall = {.max_handles = 64, .queue_depth = 16};

absl::Status CreateLoop(LoopRule& rule) {
  return Loop::Create(rule.factory(), kSmall, rule.allocator()).status();
}

// A message in lower case, without what the C library says of `error`: what is left is what the
// implementation has to say itself.
std::string BesideErrno(std::string_view message, int error) {
  std::string text = absl::AsciiStrToLower(message);
  for (const char* known : {strerrordesc_np(error), strerrorname_np(error)}) {
    text = absl::StrReplaceAll(text, {{absl::AsciiStrToLower(known), " "}});
  }
  return text;
}

// Whether a text has a word of at least three letters: "epoll_create1" is one, "errno" is none.
bool HasWord(std::string_view text) {
  std::string word;
  for (const char c : absl::StrCat(text, " ")) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
      word.push_back(c);
      continue;
    }
    if (word.size() >= 3 && word != "errno" && word != "error") return true;
    word.clear();
  }
  return false;
}

void ExpectNamesResource(const absl::Status& status, int error) {
  if (status.ok()) return;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted)
      << "a refused descriptor is reported as " << status;
  EXPECT_TRUE(HasWord(BesideErrno(status.message(), error)))
      << "a refused descriptor is reported without naming the resource: " << status;
  const bool says_error = absl::StrContains(status.message(), strerrorname_np(error)) ||
                          absl::StrContains(status.message(), strerrordesc_np(error)) ||
                          absl::StrContains(status.message(), "descriptor");
  EXPECT_TRUE(says_error) << "a refused descriptor is reported without saying what it was refused "
                             "for: "
                          << status;
}

// A kind of kernel instance, and every system call that makes one.
struct Instance {
  std::string_view name;
  std::vector<int> calls;
};

std::vector<Instance> Instances() {
  std::vector<Instance> instances = {
#ifdef SYS_epoll_create
      {"epoll instances", {SYS_epoll_create1, SYS_epoll_create}},
#else
      {"epoll instances", {SYS_epoll_create1}},
#endif
      {"rings", {SYS_io_uring_setup}},
      {"eventfds", {SYS_eventfd2}},
      {"timerfds", {SYS_timerfd_create}},
  };
  // The undefined-behaviour sanitizer finds out by a pipe whether memory can be read.
  if (!kSanitized) instances.push_back({"pipes", {SYS_pipe2}});
  return instances;
}

std::vector<RefusedSyscall> Refuse(const Instance& instance, int error) {
  std::vector<RefusedSyscall> refused;
  for (const int call : instance.calls) refused.push_back({call, error});
  return refused;
}

// What an operator has to hear for an error: one of these at least.
std::vector<std::string_view> LikelyCauses(int error) {
  switch (error) {
    case ENOMEM:
      return {"memory", "memlock", "control group", "cgroup", "limit"};
    case EPERM:
      return {"seccomp", "security", "sysctl", "capabilit", "privilege", "container", "sandbox"};
    default:  // ENOSYS
      return {"kernel", "seccomp", "container", "sandbox"};
  }
}

void ExpectNamesCause(const absl::Status& status, int error, std::string_view who) {
  const std::string said = BesideErrno(status.message(), error);
  bool named = false;
  for (const std::string_view cause : LikelyCauses(error)) {
    named = named || absl::StrContains(said, cause);
  }
  EXPECT_TRUE(named) << who << " names no likely cause of " << strerrorname_np(error) << " ("
                     << absl::StrJoin(LikelyCauses(error), ", ") << "): " << status;
}

// Runs Create and Probe with a kind of instance refused. Returns whether Create needs it.
bool JudgeRefusal(LoopRule& rule, const Instance& instance, int error) {
  SCOPED_TRACE(
      absl::StrCat("the kernel refuses ", instance.name, " with ", strerrorname_np(error)));
  const std::vector<RefusedSyscall> refused = Refuse(instance, error);
  const ChildOutcome created = RunWithRefusedSyscalls(refused, [&] { return CreateLoop(rule); });
  EXPECT_TRUE(created.returned) << "Create ended the process: " << created.Describe();
  if (!created.returned || created.status.ok()) return false;
  ExpectNamesCause(created.status, error, "Create");

  const ChildOutcome probed =
      RunWithRefusedSyscalls(refused, [&] { return rule.factory().Probe(); });
  EXPECT_TRUE(probed.returned) << "Probe ended the process: " << probed.Describe();
  EXPECT_FALSE(probed.returned && probed.status.ok())
      << "Probe says that the backend can run, where Create then fails with " << created.status;
  if (probed.returned && !probed.status.ok()) ExpectNamesCause(probed.status, error, "Probe");
  return true;
}

// Whether this process may install filters at all; makes the rule inconclusive if not.
bool CanRefuse(LoopRule& rule) {
  const ChildOutcome outcome =
      RunWithRefusedSyscalls({{SYS_epoll_create1, ENOSYS}}, [] { return absl::OkStatus(); });
  if (outcome.status.ok()) return true;
  rule.Inconclusive(absl::StrCat("system calls cannot be refused here: ", outcome.Describe()));
  return false;
}

// Runs Probe a few times in this process and judges what it leaves.
absl::Status ProbeLeavesNothing(LoopRule& rule) {
  absl::Status status = rule.factory().Probe();  // loads what error messages need
  const Ledger ledger(&rule.tracking());
  constexpr int kProbes = 20;
  for (int probe = 0; probe < kProbes; ++probe) status = rule.factory().Probe();
  const std::vector<std::string> left = ledger.Differences();
  EXPECT_TRUE(left.empty()) << "left behind by a probe that said " << status << ": "
                            << absl::StrJoin(left, "; ");
  return status;
}

}  // namespace

void INIT_3(LoopRule& rule) {
  // Sanitizers open something themselves when they meet a type for the first time.
  ASSERT_NE(MakeLoop(rule, kSmall), nullptr);
  DescriptorFaults descriptors;
  Sweep(rule.context(), descriptors, {.expected_code = std::nullopt}, [&] {
    const absl::Status status = CreateLoop(rule);
    ExpectNamesResource(status, EMFILE);
    return status;
  });
  if (testing::Test::HasFailure() || !CanRefuse(rule)) return;
  // The system's own limit cannot be lowered for a test, but each call can be refused as by it.
  for (const Instance& instance : Instances()) {
    SCOPED_TRACE(absl::StrCat("the kernel refuses ", instance.name, " with ENFILE"));
    const ChildOutcome outcome =
        RunWithRefusedSyscalls(Refuse(instance, ENFILE), [&] { return CreateLoop(rule); });
    EXPECT_TRUE(outcome.returned) << "Create ended the process: " << outcome.Describe();
    if (outcome.returned) ExpectNamesResource(outcome.status, ENFILE);
  }
}

void INIT_4(LoopRule& rule) {
  const absl::Status usable = rule.factory().Probe();
  if (!usable.ok()) {
    // Refused here and now, whatever the cause: it has to be said.
    EXPECT_TRUE(HasWord(usable.message())) << "the probe refuses without a reason: " << usable;
    const absl::Status created = CreateLoop(rule);
    EXPECT_FALSE(created.ok()) << "Create succeeds where the probe says: " << usable;
    EXPECT_TRUE(HasWord(created.message())) << "Create refuses without a reason: " << created;
    return;
  }
  if (!CanRefuse(rule)) return;
  int needed = 0;
  for (const Instance& instance : Instances()) {
    for (const int error : {ENOMEM, EPERM, ENOSYS}) {
      if (JudgeRefusal(rule, instance, error)) ++needed;
    }
  }
  if (needed == 0) rule.Inconclusive("Create needs none of the instances that can be refused");

  const ChildOutcome locked = RunInChild([&] {
    const rlimit none = {};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) return absl::OkStatus();
    return CreateLoop(rule);
  });
  EXPECT_TRUE(locked.returned) << "Create ended the process without locked memory: "
                               << locked.Describe();
  // As root, and on kernels that charge elsewhere, there is no such limit.
  if (locked.returned && !locked.status.ok()) {
    EXPECT_TRUE(absl::StrContains(absl::AsciiStrToLower(locked.status.message()), "memlock"))
        << "Create without locked memory does not name RLIMIT_MEMLOCK: " << locked.status;
  }
}

void INIT_5(LoopRule& rule) {
  const absl::Status usable = ProbeLeavesNothing(rule);
  // With 0, 1, 2, ... descriptors to be had, until the probe has enough or never will.
  constexpr int kMostDescriptors = 16;
  for (int available = 0; available <= kMostDescriptors; ++available) {
    SCOPED_TRACE(absl::StrCat("with ", available, " descriptors to be had"));
    const Ledger ledger(&rule.tracking());
    absl::Status status;
    {
      const DescriptorLimit limit(available);
      status = rule.factory().Probe();
    }
    const std::vector<std::string> left = ledger.Differences();
    EXPECT_TRUE(left.empty()) << "left behind by a probe that said " << status << ": "
                              << absl::StrJoin(left, "; ");
    if (status.ok()) break;
    EXPECT_LT(available, usable.ok() ? kMostDescriptors : kMostDescriptors + 1)
        << "the probe fails for want of descriptors: " << status;
  }
  if (testing::Test::HasFailure() || !CanRefuse(rule)) return;
  for (const Instance& instance : Instances()) {
    for (const int error : {ENOMEM, EPERM, ENOSYS, EMFILE}) {
      SCOPED_TRACE(
          absl::StrCat("the kernel refuses ", instance.name, " with ", strerrorname_np(error)));
      const ChildOutcome outcome =
          RunWithRefusedSyscalls(Refuse(instance, error), [&] { return ProbeLeavesNothing(rule); });
      EXPECT_TRUE(outcome.returned) << "Probe ended the process: " << outcome.Describe();
    }
  }
}

}  // namespace tenon::conformance::loop_rules
