#include "tenon/conformance/loop/recorder.h"

#include <time.h>
#include <algorithm>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

// Enough for whatever was queued behind something else to come through.
constexpr int kSettlingTurns = 16;

}  // namespace

void RecordingOperation::OnComplete(Operation& operation) {
  RecordingOperation& self = static_cast<RecordingOperation&>(operation);
  self.results_.push_back(operation.result());
  if (operation.has_more()) {
    ++self.mores_;
  } else {
    ++self.finals_;
    self.final_result_ = operation.result();
  }
  if (self.hook_) self.hook_(self);
}

void RecordingOperation::Forget() {
  finals_ = 0;
  mores_ = 0;
  final_result_ = 0;
  results_.clear();
}

std::string RecordingOperation::Describe() const {
  std::string text = absl::StrCat(OpcodeName(opcode()), ": ", finals_, " final completion(s), ",
                                  mores_, " with kMore, results");
  for (const int32_t result : results_) absl::StrAppend(&text, " ", ResultText(result));
  return text;
}

std::string ResultText(int32_t result) {
  if (result >= 0) return absl::StrCat(result);
  const char* const name = strerrorname_np(-result);
  return absl::StrCat(result, " (", name == nullptr ? "not an errno" : name, ")");
}

Owned<Loop> MakeLoop(LoopRule& rule, const LoopOptions& options) {
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(rule.factory(), options, rule.allocator());
  EXPECT_TRUE(loop.ok()) << "no loop could be made: " << loop.status();
  return loop.ok() ? *std::move(loop) : nullptr;
}

Handle AdoptOrFail(Loop& loop, UniqueFd fd) {
  const int number = fd.get();
  const absl::StatusOr<Handle> handle = loop.Adopt(std::move(fd));
  EXPECT_TRUE(handle.ok()) << "descriptor " << number << " was not adopted: " << handle.status();
  return handle.ok() ? *handle : Handle{};
}

bool TurnUntil(Loop& loop, absl::FunctionRef<bool()> condition, int64_t patience_ns) {
  const int64_t deadline_ns = DeadlineAfter(loop.Now(), patience_ns);
  while (!condition()) {
    if (loop.Now() >= deadline_ns) return false;
    loop.RunOnce(deadline_ns);
  }
  return true;
}

bool TurnUntilDone(Loop& loop, std::initializer_list<const RecordingOperation*> operations) {
  return TurnUntil(loop, [operations] {
    for (const RecordingOperation* operation : operations) {
      if (!operation->done()) return false;
    }
    return true;
  });
}

void Settle(Loop& loop) {
  for (int turn = 0; turn < kSettlingTurns; ++turn) loop.Poll();
}

GiveUpAtExit::~GiveUpAtExit() {
  for (Operation* operation : operations_) loop_.Cancel(*operation);
  TurnUntil(
      loop_,
      [this] {
        return std::all_of(operations_.begin(), operations_.end(),
                           [](const Operation* operation) { return operation->idle(); });
      },
      kSecondNs);
}

int64_t ThreadCpuNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

}  // namespace tenon::conformance
