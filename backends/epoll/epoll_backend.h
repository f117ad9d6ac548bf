// Readiness from epoll(7); the operations are performed by the table that backends of its kind
// share.

#ifndef TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_
#define TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_

#include <sys/epoll.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/readiness_table.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::epoll {

// One epoll instance and the table of what is parked on its descriptors.
//
// Every descriptor is registered once, edge-triggered, for input. Interest in output is registered
// when a send first finds the descriptor full.
//
// Threads: LoopBackend's.
class EpollBackend final : public LoopBackend, private ReadinessSource {
 public:
  static absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                                   Allocator& allocator);

  explicit EpollBackend(const LoopOptions& options) : table_(*this, options.queue_depth) {}
  // Closes the epoll instance and the eventfd. Deregisters nothing: a forked child must not touch
  // what the parent shares.
  ~EpollBackend() override = default;

  BackendCapabilities capabilities() const noexcept override;
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override;
  void Detach(uint32_t slot, int fd) noexcept override;
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;
  void Wake() noexcept override;
  absl::StatusOr<int> PollFd() noexcept override { return epoll_.get(); }
  int64_t Now() const noexcept override;
  absl::Status RegisterBuffers(BufferPool& pool) noexcept override;
  void ReturnBuffer(uint16_t /*id*/) noexcept override {}

 private:
  int32_t Await(uint32_t slot, Direction direction) noexcept override;
  int32_t AwaitEvents(uint32_t slot, uint32_t events) noexcept override;

  absl::Status Init(const LoopOptions& options, Allocator& allocator);
  void AddInterest(uint32_t slot, uint32_t events);
  int WaitForEvents(int64_t deadline_ns);

  UniqueFd epoll_;
  UniqueFd wake_;
  OwnedArray<epoll_event> events_;
  // Its notes are what is registered with epoll.
  ReadinessTable table_;
  // Whether the kernel has epoll_pwait2(2) (Linux 5.11), which waits in nanoseconds.
  bool has_pwait2_ = false;
};

}  // namespace tenon::epoll

#endif  // TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_
