// A backend without a kernel whose clock jumps to the next deadline: tests of hours end at once, in
// the same way each time.

#ifndef TENON_POOL_TESTING_VIRTUAL_CLOCK_H_
#define TENON_POOL_TESTING_VIRTUAL_CLOCK_H_

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "absl/log/check.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/time.h"

namespace tenon::pool {

// Has no descriptors: whatever is more than time is refused.
class VirtualClockBackend final : public LoopBackend {
 public:
  BackendCapabilities capabilities() const noexcept override { return {}; }
  absl::Status Attach(uint32_t, int, DescriptorKind) noexcept override {
    return absl::UnimplementedError("a virtual clock has no descriptors");
  }
  void Detach(uint32_t, int) noexcept override {}
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override {
    while (!batch.empty()) sink.Complete(batch.Pop(), -EOPNOTSUPP);
    return false;
  }
  void Cancel(Operation&, CompletionSink&) noexcept override {}
  void Wait(int64_t deadline_ns, CompletionSink&) noexcept override {
    if (woken_.exchange(false) || deadline_ns <= now_ns_) return;
    CHECK_NE(deadline_ns, kForeverNs) << "the loop waits for something that never comes";
    now_ns_ = deadline_ns;
  }
  void Wake() noexcept override { woken_ = true; }
  int64_t Now() const noexcept override { return now_ns_; }
  absl::Status RegisterBuffers(BufferPool&) noexcept override {
    return absl::UnimplementedError("a virtual clock has no buffers");
  }
  void ReturnBuffer(uint16_t) noexcept override {}

 private:
  int64_t now_ns_ = 0;
  std::atomic<bool> woken_{false};
};

class VirtualClockFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "virtual_clock"; }
  absl::Status Probe() const noexcept override { return absl::OkStatus(); }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions&,
                                            Allocator& allocator) const noexcept override {
    auto backend = MakeOwned<VirtualClockBackend>(allocator);
    if (backend == nullptr) return absl::ResourceExhaustedError("");
    return Owned<LoopBackend>(std::move(backend));
  }
};

}  // namespace tenon::pool

#endif  // TENON_POOL_TESTING_VIRTUAL_CLOCK_H_
