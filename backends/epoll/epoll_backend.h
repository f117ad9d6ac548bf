// Readiness from epoll(7), operations by non-blocking system calls.

#ifndef TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_
#define TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_

#include <sys/epoll.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::epoll {

// One epoll instance and what is parked on its descriptors.
//
// Every descriptor is registered once, edge-triggered, for input. The backend remembers for each
// whether it is readable and writable, attempts an operation at once when it is thought to be, and
// parks it otherwise. EAGAIN, and a short count on a stream, clear the flag; an edge sets it. An
// echo thus costs one receive and one send, without a probe that ends in EAGAIN. Interest in
// output is registered when a send first finds the descriptor full.
//
// Threads: LoopBackend's.
class EpollBackend final : public LoopBackend {
 public:
  static absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                                   Allocator& allocator);

  explicit EpollBackend(const LoopOptions& options) : queue_depth_(options.queue_depth) {}
  // Closes the epoll instance and the eventfd. Deregisters nothing: a forked child must not touch
  // what the parent shares.
  ~EpollBackend() override;

  BackendCapabilities capabilities() const noexcept override;
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override;
  void Detach(uint32_t slot, int fd) noexcept override;
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;
  void Wake() noexcept override;
  int PollFd() const noexcept override { return epoll_.get(); }
  int64_t Now() const noexcept override;
  absl::Status RegisterBuffers(BufferPool& pool) noexcept override;
  void ReturnBuffer(uint16_t /*id*/) noexcept override {}

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  // A registered descriptor.
  struct Slot {
    int fd = -1;
    // What is registered with epoll.
    uint32_t interest = 0;
    DescriptorKind kind = DescriptorKind::kOther;
    // What the last edge and the attempts since say. Wrong only by being true too often.
    bool readable = false;
    bool writable = false;
    // The peer is gone, there was an error or urgent data: a short count no longer means that there
    // is no more, and what is left gives no further edge.
    bool short_proves_nothing = false;
    // On the list of slots to come back to without an event.
    bool on_again_list = false;
    uint32_t next_again = kNoSlot;
    // The one operation of each direction that the loop lets through at a time.
    Operation* reader = nullptr;
    Operation* writer = nullptr;
    // Poll and Splice operations, which have no order.
    IntrusiveList<Operation> waiters;
  };

  absl::Status Init(const LoopOptions& options, Allocator& allocator);
  Slot* FindSlot(Handle handle);

  void Begin(Operation& operation, CompletionSink& sink);
  void BeginConnect(Operation& operation, Slot& slot, CompletionSink& sink);
  void BeginPoll(Operation& operation, Slot& slot, CompletionSink& sink);
  void BeginSplice(Operation& operation, CompletionSink& sink);

  void OnEvent(Slot& slot, uint32_t events, CompletionSink& sink);
  void RunReader(Slot& slot, CompletionSink& sink);
  void RunWriter(Slot& slot, CompletionSink& sink);
  void RunWaiters(Slot& slot, CompletionSink& sink);
  int32_t AttemptRead(Operation& operation, Slot& slot, uint16_t* buffer_id);

  void AddInterest(Slot& slot, uint32_t events);
  void ComeBackTo(Slot& slot);
  void RunAgainList(CompletionSink& sink);

  int WaitForEvents(int64_t deadline_ns);

  const uint32_t queue_depth_;
  UniqueFd epoll_;
  UniqueFd wake_;
  OwnedArray<epoll_event> events_;
  // Reserved for every slot number, constructed up to the highest used.
  Allocator* allocator_ = nullptr;
  Slot* slots_ = nullptr;
  uint32_t slot_capacity_ = 0;
  uint32_t slots_constructed_ = 0;
  uint32_t again_ = kNoSlot;
  BufferPool* buffers_ = nullptr;
  // Whether the kernel has epoll_pwait2(2) (Linux 5.11), which waits in nanoseconds.
  bool has_pwait2_ = false;
};

}  // namespace tenon::epoll

#endif  // TENON_BACKENDS_EPOLL_EPOLL_BACKEND_H_
