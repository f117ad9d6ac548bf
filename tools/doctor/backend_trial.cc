#include "tenon/tools/doctor/backend_trial.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "absl/debugging/leak_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/doctor/loop_cost.h"

namespace tenon::doctor {
namespace {

constexpr char kSeeConform[] = "; see with `conform` what else the backend does not keep here";

void Ignore(Operation& /*operation*/) {}

// One loop, and everything that its operations point to: it stays where it is as long as any of
// them is in flight.
class Trial {
 public:
  explicit Trial(int64_t step_timeout_ns) : step_timeout_ns_(step_timeout_ns) {}

  // Makes the loop. REQUIRES: called first.
  absl::Status Create(const LoopBackendFactory& factory);

  // The first step that failed, or null.
  const char* Run(absl::Status& status);

  // Ends the loop's work. If this fails, the trial must not be destroyed.
  absl::Status Drain() { return loop_->Drain(loop_->Now() + step_timeout_ns_); }

  Loop& loop() { return *loop_; }

 private:
  absl::Status RunNop();
  absl::Status RunTimer();
  absl::Status RunStatx();
  absl::Status RunWork();
  absl::Status RunEcho();
  // Passes a few bytes from one socket to the other.
  absl::Status Pass(Handle from, Handle to);
  // Turns until the operation has completed, and judges its result.
  absl::Status Await(Operation& operation, absl::string_view what, int32_t expected);

  const int64_t step_timeout_ns_;
  alloc::SystemAllocator allocator_;
  Owned<Loop> loop_;
  Operation first_{&Ignore};
  Operation second_{&Ignore};
  struct statx statx_ = {};
  char message_[5] = "ping";
  char received_[5] = {};
};

absl::Status Trial::Create(const LoopBackendFactory& factory) {
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, LoopOptions(), allocator_);
  if (!loop.ok()) return loop.status();
  loop_ = *std::move(loop);
  return absl::OkStatus();
}

absl::Status Trial::Await(Operation& operation, absl::string_view what, int32_t expected) {
  const int64_t deadline_ns = loop_->Now() + step_timeout_ns_;
  while (!operation.idle()) {
    if (loop_->Now() >= deadline_ns) {
      return absl::DeadlineExceededError(absl::StrCat(what, ": has not completed after ",
                                                      step_timeout_ns_ / kMillisecondNs, " ms",
                                                      kSeeConform));
    }
    loop_->RunOnce(deadline_ns);
  }
  if (operation.result() == expected) return absl::OkStatus();
  if (operation.result() < 0) return OsError(-operation.result(), what);
  return absl::InternalError(absl::StrCat(what, ": completed with ", operation.result(),
                                          " instead of ", expected, kSeeConform));
}

absl::Status Trial::RunNop() {
  first_.PrepareNop();
  loop_->Submit(first_);
  return Await(first_, "nop", 0);
}

absl::Status Trial::RunTimer() {
  const int64_t deadline_ns = loop_->Now() + kMillisecondNs;
  first_.PrepareTimerAt(deadline_ns);
  loop_->Submit(first_);
  absl::Status status = Await(first_, "timer", 0);
  if (status.ok() && loop_->Now() < deadline_ns) status = absl::InternalError("timer: early");
  return status;
}

absl::Status Trial::RunStatx() {
  first_.PrepareStatx(kCurrentDirectory, "/", 0, STATX_TYPE, &statx_);
  loop_->Submit(first_);
  absl::Status status = Await(first_, "statx", 0);
  if (status.ok() && !S_ISDIR(statx_.stx_mode)) status = absl::InternalError("statx: no directory");
  return status;
}

absl::Status Trial::RunWork() {
  constexpr int32_t kResult = 7;
  first_.PrepareWork([](void*) { return kResult; }, nullptr);
  loop_->Submit(first_);
  return Await(first_, "work", kResult);
}

absl::Status Trial::Pass(Handle from, Handle to) {
  constexpr int32_t kSize = sizeof(message_);
  received_[0] = '\0';
  // First the one that has to wait.
  first_.PrepareRecv(to, absl::MakeSpan(received_), 0);
  loop_->Submit(first_);
  loop_->Poll();
  second_.PrepareSend(from, absl::MakeSpan(message_), 0);
  loop_->Submit(second_);
  absl::Status status = Await(second_, "send", kSize);
  if (status.ok()) status = Await(first_, "recv", kSize);
  if (status.ok() && absl::string_view(received_, kSize) != absl::string_view(message_, kSize)) {
    status = absl::DataLossError("recv: other bytes than were sent");
  }
  return status;
}

absl::Status Trial::RunEcho() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return OsError(errno, "socketpair");
  }
  const absl::StatusOr<Handle> near = loop_->Adopt(UniqueFd(ends[0]));
  const absl::StatusOr<Handle> far = loop_->Adopt(UniqueFd(ends[1]));
  if (!near.ok()) return near.status();
  if (!far.ok()) return far.status();
  absl::Status status = Pass(*near, *far);
  if (status.ok()) status = Pass(*far, *near);
  if (!status.ok()) return status;
  loop_->Close(*far);
  first_.PrepareClose(*near);
  loop_->Submit(first_);
  return Await(first_, "close", 0);
}

const char* Trial::Run(absl::Status& status) {
  constexpr struct {
    const char* name;
    absl::Status (Trial::*run)();
  } kSteps[] = {{"nop", &Trial::RunNop},
                {"timer", &Trial::RunTimer},
                {"statx", &Trial::RunStatx},
                {"work", &Trial::RunWork},
                {"echo", &Trial::RunEcho}};
  for (const auto& step : kSteps) {
    status = (this->*step.run)();
    if (!status.ok()) return step.name;
  }
  return nullptr;
}

void Fail(BackendFindings& findings, std::string step, absl::Status status) {
  findings.failed_step = std::move(step);
  findings.status = std::move(status);
}

void RunTrial(const LoopBackendFactory& factory, int64_t step_timeout_ns,
              BackendFindings& findings) {
  auto trial = std::make_unique<Trial>(step_timeout_ns);
  if (absl::Status status = trial->Create(factory); !status.ok()) {
    Fail(findings, "create", std::move(status));
    return;
  }
  findings.capabilities = trial->loop().capabilities();
  absl::Status status;
  const char* const failed_step = trial->Run(status);
  if (failed_step != nullptr) Fail(findings, failed_step, status);
  findings.embeddable = trial->loop().PollFd().ok();
  const absl::Status drained = trial->Drain();
  if (drained.ok()) return;
  // What is in flight may still be written to.
  absl::IgnoreLeak(trial.release());
  if (failed_step == nullptr) Fail(findings, "drain", drained);
}

}  // namespace

BackendFindings TryBackend(const LoopBackendFactory& factory, int64_t step_timeout_ns) {
  BackendFindings findings;
  findings.name = std::string(factory.name());
  factory.Features([&](const BackendFeature& feature) {
    findings.features.push_back({.name = std::string(feature.name),
                                 .since = std::string(feature.since),
                                 .available = feature.available,
                                 .without = std::string(feature.without)});
  });
  if (const absl::Status status = factory.Probe(); !status.ok()) {
    Fail(findings, "probe", status);
    return findings;
  }
  RunTrial(factory, step_timeout_ns, findings);
  if (!findings.status.ok()) return findings;
  absl::StatusOr<LoopCost> cost = MeasureLoopCost(factory);
  if (cost.ok()) {
    findings.cost = *cost;
  } else {
    Fail(findings, "further loops", cost.status());
  }
  return findings;
}

}  // namespace tenon::doctor
