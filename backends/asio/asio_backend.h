// Readiness from Boost.Asio; the operations are performed by the table that backends of its kind
// share.

#ifndef TENON_BACKENDS_ASIO_ASIO_BACKEND_H_
#define TENON_BACKENDS_ASIO_ASIO_BACKEND_H_

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/io_context.hpp"
#include "tenon/backends/asio/watch.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/readiness_table.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::asio {

// An io_context, the backend's own or the application's, and what is parked on its watches.
//
// Handlers of Asio only note which watch fired. Wait, which runs the context unless the application
// does, then attempts the operations. An application's handlers may therefore use the loop while
// Wait runs them: nothing is half done at that moment.
//
// Threads: LoopBackend's, which is also the one that may run the context.
class AsioBackend final : public LoopBackend, private ReadinessSource, private WatchClient {
 public:
  // With a context of its own.
  static absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                                   Allocator& allocator) noexcept;
  // Over the application's.
  static absl::StatusOr<Owned<LoopBackend>> CreateOver(boost::asio::io_context& context,
                                                       const LoopOptions& options,
                                                       Allocator& allocator) noexcept;

  explicit AsioBackend(const LoopOptions& options)
      : owner_(::pthread_self()), table_(*this, options.queue_depth) {}
  ~AsioBackend() override;

  BackendCapabilities capabilities() const noexcept override;
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override;
  void Detach(uint32_t slot, int fd) noexcept override;
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;
  void Wake() noexcept override;
  absl::StatusOr<int> PollFd() noexcept override;
  int64_t Now() const noexcept override;
  absl::Status RegisterBuffers(BufferPool& pool) noexcept override;
  void ReturnBuffer(uint16_t /*id*/) noexcept override {}

 private:
  int32_t Await(uint32_t slot, Direction direction) noexcept override;
  int32_t AwaitEvents(uint32_t slot, uint32_t events) noexcept override;
  void OnReady(Watch& watch, WaitKind kind) noexcept override;
  void OnContextGone() noexcept override;

  static constexpr uint32_t kWaitsBetweenTries = 16;

  absl::Status Init(const LoopOptions& options, Allocator& allocator);
  absl::Status MakeContext(Allocator& allocator);

  bool context_is_gone() const { return context_ == nullptr; }
  Watch& WatchOf(uint32_t slot) { return *reinterpret_cast<Watch*>(table_.note(slot)); }

  void RunContextUntil(int64_t deadline_ns, CompletionSink& sink);
  size_t RunHandlers(int64_t deadline_ns);
  size_t RunBehind(size_t ran);
  void WaitInsideRun(int64_t deadline_ns, CompletionSink& sink);
  void WaitWithoutContext(int64_t deadline_ns, CompletionSink& sink);
  void AwaitWake(int64_t deadline_ns);
  void AttemptFired(CompletionSink& sink);
  void ForgetWakes();

  const pthread_t owner_;
  // What Wake writes to and, where the application runs the context, PollFd.
  UniqueFd wake_;
  std::optional<boost::asio::io_context> own_context_;
  // Null once the context is gone, as are its service and watches.
  boost::asio::io_context* context_ = nullptr;
  WatchService* service_ = nullptr;
  Watch* wake_watch_ = nullptr;
  // Its notes are the slots' watches.
  ReadinessTable table_;
  // Watches that were reported and not looked at.
  IntrusiveList<Watch> fired_;
  // The wait for wake_ has ended.
  bool woken_ = false;
  // Wait runs the context, not the application.
  bool running_ = false;
  // How many handlers a Wait runs, and after how many with one it tries for more.
  size_t expected_ = 1;
  uint32_t until_more_are_tried_ = kWaitsBetweenTries;
};

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_ASIO_BACKEND_H_
