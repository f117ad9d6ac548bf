#include "tenon/tools/conform/cheaters.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/memory/owned.h"

namespace tenon::conformance {
namespace {

enum class Cheat { kDoesNothing, kFails, kHangs, kCrashes, kSucceedsByRote };

// What a count would be if the operation had worked at once and in full.
int32_t FullResult(const Operation& operation) {
  switch (operation.opcode()) {
    case Opcode::kRecv:
    case Opcode::kSend:
    case Opcode::kRead:
    case Opcode::kWrite:
      return 1;
    default:
      return 0;
  }
}

// Accepts operations, and then cheats.
class CheatingBackend final : public LoopBackend {
 public:
  explicit CheatingBackend(Cheat cheat) : cheat_(cheat) {}

  BackendCapabilities capabilities() const noexcept override { return {}; }
  absl::Status Attach(uint32_t, int, DescriptorKind) noexcept override { return absl::OkStatus(); }
  void Detach(uint32_t, int) noexcept override {}

  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override {
    while (!batch.empty()) {
      Operation& operation = batch.Pop();
      if (cheat_ == Cheat::kCrashes) std::abort();
      if (cheat_ == Cheat::kSucceedsByRote) sink.Complete(operation, FullResult(operation));
      if (cheat_ == Cheat::kFails) sink.Complete(operation, -EIO);
    }
    return false;
  }

  void Cancel(Operation&, CompletionSink&) noexcept override {}

  void Wait(int64_t, CompletionSink&) noexcept override {
    while (cheat_ == Cheat::kHangs) pause();
  }

  void Wake() noexcept override {}

  int64_t Now() const noexcept override {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * kSecondNs + now.tv_nsec;
  }

  absl::Status RegisterBuffers(BufferPool&) noexcept override { return absl::OkStatus(); }
  void ReturnBuffer(uint16_t) noexcept override {}

 private:
  const Cheat cheat_;
};

class CheatingFactory final : public LoopBackendFactory {
 public:
  explicit constexpr CheatingFactory(Cheat cheat) : cheat_(cheat) {}

  absl::string_view name() const noexcept override { return "cheater"; }
  absl::Status Probe() const noexcept override { return absl::OkStatus(); }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& /*options*/,
                                            Allocator& allocator) const noexcept override {
    Owned<CheatingBackend> backend = MakeOwned<CheatingBackend>(allocator, cheat_);
    if (backend == nullptr) return absl::ResourceExhaustedError("");
    return Owned<LoopBackend>(std::move(backend));
  }

 private:
  const Cheat cheat_;
};

constexpr CheatingFactory kDoesNothing(Cheat::kDoesNothing);
constexpr CheatingFactory kFails(Cheat::kFails);
constexpr CheatingFactory kHangs(Cheat::kHangs);
constexpr CheatingFactory kCrashes(Cheat::kCrashes);
constexpr CheatingFactory kSucceedsByRote(Cheat::kSucceedsByRote);

}  // namespace

std::vector<Cheater> LoopCheaters() {
  return {{"does-nothing", &kDoesNothing},
          {"always-fails", &kFails},
          {"hangs", &kHangs},
          {"crashes", &kCrashes},
          {"succeeds-by-rote", &kSucceedsByRote}};
}

}  // namespace tenon::conformance
