#include "tenon/tools/conform/ring_mutants.h"

#include <liburing.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "absl/log/check.h"
#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/backends/io_uring/io_uring.h"
#include "tenon/backends/io_uring/io_uring_backend.h"
#include "tenon/backends/io_uring/ring.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::conformance {
namespace {

using io_uring::Enter;
using io_uring::IoUringBackend;
using io_uring::kCancelTag;
using io_uring::Kernel;
using io_uring::kWakeTag;
using io_uring::OperationOf;
using io_uring::Ring;
using io_uring::TagOf;

bool IsOfOperation(const io_uring_cqe& completion) {
  return completion.user_data != kWakeTag && completion.user_data != kCancelTag;
}

// Calls `visit` with each completion in the queue that is new since the last call. `seen` is the
// number of those before it.
template <typename Visitor>
void VisitNew(::io_uring& ring, unsigned& seen, Visitor visit) {
  const unsigned tail = *ring.cq.khead + io_uring_cq_ready(&ring);
  for (; seen != tail; ++seen) visit(ring.cq.cqes[seen & ring.cq.ring_mask]);
}

// Does not read the completions of an Accept that has been cancelled, and with them descriptors.
class ForgetsCancelledAccepts final : public BackendDecorator {
 public:
  // Keeps the ring in sight.
  class Watched final : public Kernel {
   public:
    ::io_uring* ring = nullptr;

    int EnterRing(::io_uring& entered, Enter how, __kernel_timespec* timeout) override {
      ring = &entered;
      return Kernel::EnterRing(entered, how, timeout);
    }
  };

  ForgetsCancelledAccepts(Owned<LoopBackend> good, Watched& kernel)
      : BackendDecorator(std::move(good)), kernel_(kernel) {}

  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override {
    Forget();
    return BackendDecorator::Start(batch, sink);
  }
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    Forget();
    BackendDecorator::Wait(deadline_ns, sink);
  }

 private:
  void Forget() {
    if (kernel_.ring == nullptr) return;
    unsigned unread = *kernel_.ring->cq.khead;
    VisitNew(*kernel_.ring, unread, [](io_uring_cqe& completion) {
      if (!IsOfOperation(completion) || (completion.flags & IORING_CQE_F_MORE) == 0) return;
      const Operation& operation = OperationOf(completion.user_data);
      const bool forgotten = operation.opcode() == Opcode::kAccept && operation.cancel_requested();
      if (forgotten) completion.user_data = kCancelTag;
    });
  }

  Watched& kernel_;
};

// Has no room for a cancel when the submission queue is full, and drops it.
class DropsCancelsWhenFull final : public Kernel {
 public:
  int EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout) override {
    const unsigned ready = io_uring_sq_ready(&ring);
    if (io_uring_sq_space_left(&ring) == 0) {
      for (unsigned i = ring.sq.sqe_tail - ready; i != ring.sq.sqe_tail; ++i) {
        io_uring_sqe& entry = ring.sq.sqes[i & ring.sq.ring_mask];
        if (entry.opcode != IORING_OP_ASYNC_CANCEL) continue;
        io_uring_prep_nop(&entry);
        entry.flags |= IOSQE_CQE_SKIP_SUCCESS;
      }
    }
    return Kernel::EnterRing(ring, how, timeout);
  }
};

// Loses a completion for each time that some did not fit in the completion queue. To have it
// overflow, deferred work is done all at once, as by older kernels.
class LosesOverflow final : public Kernel {
 public:
  int EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout) override {
    while ((*ring.sq.kflags & IORING_SQ_TASKRUN) != 0 && !io_uring_cq_has_overflow(&ring)) {
      io_uring_get_events(&ring);
    }
    const bool overflowed = io_uring_cq_has_overflow(&ring);
    const int result = Kernel::EnterRing(ring, how, timeout);
    // By now the kernel has put there what it kept.
    if (overflowed && io_uring_cq_ready(&ring) > 0) io_uring_cq_advance(&ring, 1);
    return result;
  }
};

// Reports a cancelled operation at once, without asking the kernel, which goes on with it. Whoever
// is told so frees the buffer.
class CompletesAtCancel final : public BackendDecorator {
 public:
  // Takes the completions of what was reported already out of the queue.
  class Forgetful final : public Kernel {
   public:
    std::set<uint64_t> forgotten;

    int EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout) override {
      const int result = Kernel::EnterRing(ring, how, timeout);
      VisitNew(ring, seen_, [this](io_uring_cqe& completion) {
        if (forgotten.erase(completion.user_data) != 0) completion.user_data = kCancelTag;
      });
      return result;
    }

   private:
    unsigned seen_ = 0;
  };

  CompletesAtCancel(Owned<LoopBackend> good, Forgetful& kernel)
      : BackendDecorator(std::move(good)), kernel_(kernel) {}

  void Cancel(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kRecv) return BackendDecorator::Cancel(operation, sink);
    kernel_.forgotten.insert(TagOf(operation));
    sink.Complete(operation, -ECANCELED);
  }

 private:
  Forgetful& kernel_;
};

// Closes by an entry that is never submitted: what monoio did at teardown.
class ClosesWithoutFlushing final : public BackendDecorator {
 public:
  ClosesWithoutFlushing(Owned<LoopBackend> good, Kernel& /*kernel*/)
      : BackendDecorator(std::move(good)) {
    CHECK(closes_.Init(8).ok());
  }

  void Detach(uint32_t slot, int fd) noexcept override {
    BackendDecorator::Detach(slot, fd);
    // The loop closes the number; the entry has the open file by another.
    const int entrusted = ::dup(fd);
    if (io_uring_sqe* const entry = closes_.NextEntry(); entry != nullptr) {
      io_uring_prep_close(entry, entrusted);
    }
  }

 private:
  Ring closes_;
};

// For what only a kernel's answers are changed of.
class Unchanged final : public BackendDecorator {
 public:
  Unchanged(Owned<LoopBackend> good, Kernel& /*kernel*/) : BackendDecorator(std::move(good)) {}
};

// Makes backends over a kernel of their own, decorated. The kernel lives as long as the process.
template <typename KernelType, typename Decorator = Unchanged>
class RingMutantFactory final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    auto* const kernel = new KernelType;
    absl::StatusOr<Owned<LoopBackend>> backend =
        IoUringBackend::Create(options, allocator, {.kernel = kernel, .no_signal = true});
    if (!backend.ok()) return backend;
    Owned<Decorator> decorator = MakeOwned<Decorator>(allocator, *std::move(backend), *kernel);
    if (decorator == nullptr) return OutOfMemory();
    return Owned<LoopBackend>(std::move(decorator));
  }
};

class PlainKernel final : public Kernel {};

}  // namespace

absl::Span<const LoopMutant> RingMutants() {
  static constexpr LoopMutant kMutants[] = {
      {.name = "a close is put into the queue and never flushed",
       .rule = "TD-4",
       .expected_reason = "is still open after Drain",
       .wrap = &WrapFactory<RingMutantFactory<PlainKernel, ClosesWithoutFlushing>>},
      {.name = "the completion of a cancelled accept is not read",
       .rule = "CAN-5",
       .expected_reason = "left behind",
       .wrap = &WrapFactory<
           RingMutantFactory<ForgetsCancelledAccepts::Watched, ForgetsCancelledAccepts>>},
      {.name = "a buffer is given up when the cancel is requested",
       .rule = "CAN-7",
       .expected_reason =
           "the buffer of a cancelled operation was written to after its final completion",
       .wrap = &WrapFactory<RingMutantFactory<CompletesAtCancel::Forgetful, CompletesAtCancel>>},
      {.name = "a cancel finds the submission queue full and is dropped",
       .rule = "CAN-4",
       .expected_reason = "had no effect",
       .wrap = &WrapFactory<RingMutantFactory<DropsCancelsWhenFull>>},
      {.name = "completions that overflow the queue are lost",
       .rule = "CMP-2",
       .expected_reason = "operations completed by one event, these have one completion",
       .wrap = &WrapFactory<RingMutantFactory<LosesOverflow>>},
  };
  return kMutants;
}

}  // namespace tenon::conformance
