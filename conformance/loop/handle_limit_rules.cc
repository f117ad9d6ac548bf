// HDL-1 and HDL-6: adopting and accepting where there is no more to be had.

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/descriptor_limit.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/faults/sweep.h"
#include "tenon/conformance/faults/syscall_filter.h"
#include "tenon/conformance/loop/echo_probe.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

// Numbers that refused descriptors had, now those of something else: who closes one of them again
// closes what is not his.
class NextOwners {
 public:
  void Take(int number) {
    UniqueFd owner(::dup3(sentinel_.ours.get(), number, O_CLOEXEC));
    EXPECT_EQ(owner.get(), number) << "the number could not be taken over";
    owners_.push_back(std::move(owner));
  }
  void ExpectUndisturbed() const {
    for (const UniqueFd& owner : owners_) {
      EXPECT_EQ(IdentityOf(owner.get()), IdentityOf(sentinel_.ours.get()))
          << "a descriptor that Adopt refused was closed a second time, under its next owner";
    }
  }

 private:
  const DescriptorPair sentinel_ = MakeSocketPair();
  std::vector<UniqueFd> owners_;
};

// Judges an Adopt that failed as it should: what it was given is closed, the loop is as before.
void ExpectRefused(const absl::Status& status, absl::StatusCode code, const EchoProbe& refused,
                   std::string_view what, NextOwners& owners) {
  EXPECT_EQ(status.code(), code) << "Adopt " << what << ": " << status;
  const bool open = !IdentityOf(refused.ours()).empty();
  EXPECT_FALSE(open) << "Adopt " << what << " failed and left the descriptor open";
  EXPECT_NE(WaitFor(refused.theirs(), POLLIN, 0) & POLLHUP, 0)
      << "Adopt " << what << " failed and keeps the open file under another number";
  if (!open) owners.Take(refused.ours());
}

// More handles than the loop has room for.
void AdoptBeyondTheBound(LoopRule& rule, NextOwners& owners) {
  constexpr uint32_t kHandles = 4;
  EchoProbe probes[kHandles];
  EchoProbe refused, late;
  const Owned<Loop> loop = MakeLoop(rule, {.max_handles = kHandles});
  ASSERT_NE(loop, nullptr);
  for (EchoProbe& probe : probes) probe.Adopt(*loop);
  for (int attempt = 0; attempt < 3; ++attempt) {
    ExpectRefused(refused.TryAdopt(*loop), absl::StatusCode::kResourceExhausted, refused,
                  "beyond max_handles", owners);
  }
  EXPECT_EQ(loop->Stats().open_handles, kHandles) << "refused descriptors count as handles";
  for (EchoProbe& probe : probes) probe.ExpectWorks(*loop, "after an Adopt beyond max_handles");
  loop->Close(probes[0].handle());
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !IsOpen(probes[0].ours()); }));
  late.Adopt(*loop);
  late.ExpectWorks(*loop, "in the place of a handle that was closed,");
}

void AdoptWithoutMemory(LoopRule& rule, NextOwners& owners) {
  EchoProbe before;
  EchoProbe refused, adopted;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  before.Adopt(*loop);
  constexpr uint64_t kLimit = 100;
  for (uint64_t n = 1; n <= kLimit; ++n) {
    rule.faults().FailNth(n);
    const absl::Status status = refused.TryAdopt(*loop);
    const bool met = rule.faults().injected() > 0;
    rule.faults().Clear();
    if (!met) {
      EXPECT_TRUE(status.ok()) << "Adopt failed though nothing was refused: " << status;
      break;
    }
    ExpectRefused(status, absl::StatusCode::kResourceExhausted, refused, "without memory", owners);
    before.ExpectWorks(*loop, "after an Adopt without memory");
  }
  adopted.Adopt(*loop);
  adopted.ExpectWorks(*loop, "adopted after a refusal,");
}

// The same from the loop's creation on, once and for good: a backend that takes no memory in Adopt
// is then swept all the same.
void AdoptInALoopWithoutMemory(LoopRule& rule) {
  SweepAllocations(rule.context(), {}, [&]() -> absl::Status {
    EchoProbe probe;
    absl::StatusOr<Owned<Loop>> made = Loop::Create(rule.factory(), {}, rule.allocator());
    if (!made.ok()) return made.status();
    const Owned<Loop> loop = *std::move(made);
    const absl::Status adopted = probe.TryAdopt(*loop);
    if (adopted.ok()) probe.ExpectWorks(*loop, "adopted while memory was short,");
    return adopted;
  });
}

void AdoptWhatIsNotOpen(LoopRule& rule) {
  EchoProbe probe;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  probe.Adopt(*loop);
  EXPECT_EQ(loop->Adopt(UniqueFd()).status().code(), absl::StatusCode::kInvalidArgument)
      << "Adopt of no descriptor";
  const int closed = MakeSocketPair().ours.get();  // closed again by now
  EXPECT_EQ(loop->Adopt(UniqueFd(closed)).status().code(), absl::StatusCode::kInvalidArgument)
      << "Adopt of a number that is not open";
  probe.ExpectWorks(*loop, "after an Adopt of what is not open,");
}

void AdoptAfterDrain(LoopRule& rule, NextOwners& owners) {
  EchoProbe refused;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  EXPECT_TRUE(loop->Drain().ok());
  ExpectRefused(refused.TryAdopt(*loop), absl::StatusCode::kFailedPrecondition, refused,
                "after Drain", owners);
}

// In a child: adopts while the kernel refuses what attaching may need. Whichever way the backend
// takes, what it says has to be true.
absl::Status AdoptRefusedByKernel(LoopRule& rule, RefusedSyscall refusal) {
  EchoProbe before, judged;
  NextOwners owners;
  {
    const Owned<Loop> loop = MakeLoop(rule);
    if (loop == nullptr) return absl::OkStatus();
    before.Adopt(*loop);
    before.BeginRecv(*loop);
    Settle(*loop);
    if (absl::Status status = RefuseSyscalls({refusal}); !status.ok()) return status;
    const absl::Status status = judged.TryAdopt(*loop);
    if (status.ok()) {
      judged.ExpectWorks(*loop, "after an Adopt that reported success,");
    } else {
      ExpectRefused(status, status.code(), judged, "refused by the kernel", owners);
    }
    before.ExpectWorks(*loop, "after an Adopt that the kernel refused,");
  }
  owners.ExpectUndisturbed();
  return absl::OkStatus();
}

// A server that accepts whatever comes, again and again, as servers do.
class Acceptor {
 public:
  explicit Acceptor(bool multishot) : multishot_(multishot) {
    accept_.set_hook([this](RecordingOperation& operation) { OnAccept(operation); });
  }

  void Adopt(Loop& loop) {
    loop_ = &loop;
    handle_ = AdoptOrFail(loop, listener_.Take());
  }
  void Begin() {
    if (multishot_) {
      accept_.PrepareAcceptMultishot(handle_);
    } else {
      accept_.PrepareAccept(handle_);
    }
    loop_->Submit(accept_);
  }
  void Connect() { clients_.push_back(listener_.Connect()); }
  // Is called when an Accept met the limit, before the next one is submitted.
  void set_on_refused(std::function<void()> call) { on_refused_ = std::move(call); }
  // Makes the next completion the last one.
  void Stop() { stopped_ = true; }

  RecordingOperation& operation() { return accept_; }
  size_t accepted() const { return accepted_.size(); }
  int refused() const { return refused_; }

 private:
  void OnAccept(RecordingOperation& operation) {
    if (operation.result() >= 0) {
      accepted_.emplace_back(operation.result());
    } else if (operation.result() == -EMFILE) {
      ++refused_;
      if (on_refused_) on_refused_();
    } else if (!stopped_) {
      ADD_FAILURE() << "Accept completed with " << ResultText(operation.result());
      stopped_ = true;
    }
    if (!operation.has_more() && !stopped_) Begin();
  }

  const bool multishot_;
  bool stopped_ = false;
  int refused_ = 0;
  std::function<void()> on_refused_;
  Loop* loop_ = nullptr;
  Listener listener_;
  Handle handle_;
  std::vector<UniqueFd> clients_;
  std::vector<UniqueFd> accepted_;
  RecordingOperation accept_;
};

void AcceptAtTheLimit(LoopRule& rule, bool multishot) {
  constexpr int64_t kBackoffNs = 20 * kMillisecondNs;
  constexpr int64_t kWindowNs = 10 * kBackoffNs;
  constexpr int kMostAttempts = 15;
  constexpr size_t kClients = 3;
  SCOPED_TRACE(multishot ? "multishot Accept" : "Accept");
  Acceptor acceptor(multishot);
  RecordingOperation window;
  const Owned<Loop> loop = MakeLoop(rule, {.accept_backoff_ns = kBackoffNs});
  ASSERT_NE(loop, nullptr);
  acceptor.Adopt(*loop);
  for (size_t client = 0; client < kClients; ++client) acceptor.Connect();
  const int64_t cpu_before_ns = ThreadCpuNs();
  {
    const DescriptorLimit limit(0);
    acceptor.Begin();
    window.PrepareTimer(kWindowNs);
    loop->Submit(window);
    EXPECT_TRUE(TurnUntilDone(*loop, {&window}));
  }
  ASSERT_EQ(acceptor.accepted(), 0u) << "descriptors were to be had beyond the limit";
  ASSERT_GT(acceptor.refused(), 0)
      << "no Accept met the limit: " << acceptor.operation().Describe();
  ASSERT_LE(acceptor.refused(), kMostAttempts)
      << "Accept spins at the descriptor limit: attempts in ten times accept_backoff_ns";
  const int64_t cpu_ns = ThreadCpuNs() - cpu_before_ns;
  EXPECT_LT(cpu_ns, kWindowNs / 2)
      << "Accept at the descriptor limit keeps the processor busy, of " << kWindowNs << " ns";

  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.accepted() == kClients; }))
      << "with descriptors to be had again only " << acceptor.accepted() << " of " << kClients
      << " connections were accepted";
  acceptor.Connect();
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.accepted() == kClients + 1; }))
      << "a connection after the shortage was not accepted";
  acceptor.Stop();
}

// A descriptor that the loop closes ends the waiting at once, and a Cancel too.
void AcceptHeldBack(LoopRule& rule, bool multishot) {
  SCOPED_TRACE(multishot ? "multishot Accept" : "Accept");
  Acceptor acceptor(multishot);
  EchoProbe spare;
  const Owned<Loop> loop = MakeLoop(rule, {.accept_backoff_ns = 3'600 * kSecondNs});
  ASSERT_NE(loop, nullptr);
  acceptor.Adopt(*loop);
  spare.Adopt(*loop);
  acceptor.Connect();
  acceptor.Connect();
  const DescriptorLimit limit(0);
  acceptor.Begin();
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.refused() == 1; }))
      << "no Accept met the limit: " << acceptor.operation().Describe();
  Settle(*loop);
  EXPECT_EQ(acceptor.refused(), 1) << "Accept was not held back";
  loop->Close(spare.handle());
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.accepted() == 1; }))
      << "Accept is still held back though the loop has closed a descriptor";
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.refused() == 2; }))
      << "the second connection did not meet the limit: " << acceptor.operation().Describe();
  Settle(*loop);
  acceptor.Stop();
  const int before = acceptor.operation().finals();
  loop->Cancel(acceptor.operation());
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.operation().finals() == before + 1; }))
      << "an Accept that is held back cannot be cancelled";
  EXPECT_EQ(acceptor.operation().final_result(), -ECANCELED);
}

// A descriptor that the loop closes in the very callback that met the limit counts too.
void AcceptAfterMakingRoom(LoopRule& rule, bool multishot) {
  SCOPED_TRACE(multishot ? "multishot Accept" : "Accept");
  Acceptor acceptor(multishot);
  EchoProbe spare;
  const Owned<Loop> loop = MakeLoop(rule, {.accept_backoff_ns = 3'600 * kSecondNs});
  ASSERT_NE(loop, nullptr);
  acceptor.Adopt(*loop);
  spare.Adopt(*loop);
  acceptor.Connect();
  const DescriptorLimit limit(0);
  acceptor.set_on_refused([&] { loop->Close(spare.handle()); });
  acceptor.Begin();
  EXPECT_TRUE(TurnUntil(*loop, [&] { return acceptor.accepted() == 1; }))
      << "Accept is held back though its callback had the loop close a descriptor";
  EXPECT_GE(acceptor.refused(), 1) << "no Accept met the limit";
  acceptor.Stop();
}

}  // namespace

void HDL_1(LoopRule& rule) {
  NextOwners owners;
  ASSERT_NO_FATAL_FAILURE(AdoptBeyondTheBound(rule, owners));
  ASSERT_NO_FATAL_FAILURE(AdoptWithoutMemory(rule, owners));
  ASSERT_NO_FATAL_FAILURE(AdoptInALoopWithoutMemory(rule));
  ASSERT_NO_FATAL_FAILURE(AdoptWhatIsNotOpen(rule));
  ASSERT_NO_FATAL_FAILURE(AdoptAfterDrain(rule, owners));
  owners.ExpectUndisturbed();
  for (const RefusedSyscall refusal :
       {RefusedSyscall{SYS_epoll_ctl, ENOSPC}, RefusedSyscall{SYS_epoll_ctl, ENOMEM},
        RefusedSyscall{SYS_io_uring_register, ENOMEM}, RefusedSyscall{SYS_fcntl, EPERM}}) {
    SCOPED_TRACE(absl::StrCat("system call ", refusal.number, " is refused with ",
                              strerrorname_np(refusal.error)));
    const ChildOutcome outcome = RunInChild([&] { return AdoptRefusedByKernel(rule, refusal); });
    ASSERT_TRUE(outcome.returned) << "Adopt ended the process: " << outcome.Describe();
    if (testing::Test::HasFailure()) return;
    if (outcome.status.code() == absl::StatusCode::kUnavailable) {
      return rule.Inconclusive(
          absl::StrCat("no system call can be refused here: ", outcome.Describe()));
    }
  }
}

void HDL_6(LoopRule& rule) {
  for (const bool multishot : {false, true}) {
    if (multishot && !rule.Has("multishot")) continue;
    ASSERT_NO_FATAL_FAILURE(AcceptAtTheLimit(rule, multishot));
    if (testing::Test::HasFailure()) return;
    ASSERT_NO_FATAL_FAILURE(AcceptHeldBack(rule, multishot));
    ASSERT_NO_FATAL_FAILURE(AcceptAfterMakingRoom(rule, multishot));
  }
}

}  // namespace tenon::conformance::loop_rules
