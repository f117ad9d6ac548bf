// The mutants of CMP-1 to CMP-10.

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/loop/mutants/intercepting_backend.h"
#include "tenon/conformance/loop/mutants/late_writer.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Performs Polls itself, and keeps room for so many completions of them a turn. The others are
// lost.
class LosesOverflow final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    constexpr int64_t kLookAgainNs = kMillisecondNs;
    if (!polls_.empty()) deadline_ns = std::min(deadline_ns, Now() + kLookAgainNs);
    InterceptingBackend::Wait(deadline_ns, sink);
    constexpr int kRoom = 64;
    int completed = 0;
    std::vector<Operation*> waiting;
    for (Operation* poll : polls_) {
      if (std::find(taken().begin(), taken().end(), poll) == taken().end()) continue;
      const int32_t ready = PollNow(poll->fd(), poll->parameters().poll_events);
      if (ready == 0) {
        waiting.push_back(poll);
      } else if (completed < kRoom) {
        CompleteTaken(*poll, ready, sink);
        ++completed;
      }
    }
    polls_ = waiting;
  }

 protected:
  bool Takes(Operation& operation, CompletionSink& /*sink*/) noexcept override {
    if (operation.opcode() != Opcode::kPoll) return false;
    polls_.push_back(&operation);
    return true;
  }

 private:
  // Those of taken() that are still looked at, and some that were cancelled.
  std::vector<Operation*> polls_;
};

// Looks at the end of the stream before it looks for bytes.
class EndsFirst final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

 protected:
  bool Takes(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kRecv || operation.pooled_buffer()) return false;
    if ((PollNow(operation.fd(), POLLRDHUP) & (POLLRDHUP | POLLHUP)) == 0) return false;
    sink.Complete(operation, 0);
    return true;
  }
};

// Says of every Send that it took everything.
class ClaimsEverything final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

 protected:
  bool Takes(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kSend) return false;
    const int32_t result = PerformNonBlocking(operation, DescriptorKind::kTcpSocket);
    if (result == kWouldBlock) return false;
    const auto size = static_cast<int32_t>(operation.parameters().buffer.size);
    sink.Complete(operation, result > 0 ? size : result);
    return true;
  }
};

// Sends without MSG_NOSIGNAL.
class SendsWithSignal final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

 protected:
  bool Takes(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kSend) return false;
    const auto& buffer = operation.parameters().buffer;
    const ssize_t sent =
        ::send(operation.fd(), buffer.data, buffer.size, buffer.flags | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) return false;
    sink.Complete(operation, sent < 0 ? -errno : static_cast<int32_t>(sent));
    return true;
  }
};

// Gives a Recv a moment for its bytes, and takes an interruption of that for its result.
class ReportsInterruption final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

 protected:
  bool Takes(Operation& operation, CompletionSink& sink) noexcept override {
    if (operation.opcode() != Opcode::kRecv) return false;
    pollfd entry = {.fd = operation.fd(), .events = POLLIN, .revents = 0};
    const timespec moment = {.tv_sec = 0, .tv_nsec = kMillisecondNs};
    if (::ppoll(&entry, 1, &moment, nullptr) >= 0 || errno != EINTR) return false;
    sink.Complete(operation, -EINTR);
    return true;
  }
};

// Takes a buffer for a receive when it is cancelled, and never gives it back.
class LosesBufferOnCancel final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  absl::Status RegisterBuffers(BufferPool& pool) noexcept override {
    pool_ = &pool;
    return BackendDecorator::RegisterBuffers(pool);
  }
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override {
    loses_next_ |= operation.pooled_buffer();
    BackendDecorator::Cancel(operation, sink);
  }
  void ReturnBuffer(uint16_t id) noexcept override {
    if (!std::exchange(loses_next_, false)) return BackendDecorator::ReturnBuffer(id);
    pool_->Lend(id);
  }

 private:
  BufferPool* pool_ = nullptr;
  bool loses_next_ = false;
};

}  // namespace

LoopMutant CMP_1() {
  return {.name = "one completion is delivered twice",
          .rule = "CMP-1",
          .expected_reason = "Recv: 2 final completion(s)",
          .loop_mutation = LoopMutation::kDeliverTwice};
}

LoopMutant CMP_2() {
  return {.name = "completions beyond one batch are lost",
          .rule = "CMP-2",
          .expected_reason = "operations completed by one event, these have one completion",
          .wrap = &Wrap<LosesOverflow>};
}

LoopMutant CMP_3() {
  return {.name = "the end of the stream is reported while bytes are waiting",
          .rule = "CMP-3",
          .expected_reason = "bytes delivered before the end, of those received before it",
          .wrap = &Wrap<EndsFirst>};
}

LoopMutant CMP_4() {
  return {.name = "a receive buffer is written after its completion",
          .rule = "CMP-4",
          .expected_reason = "a buffer was written to after its final completion",
          .wrap = &Wrap<LateWriter<LateWhen::kReceived>>};
}

LoopMutant CMP_5() {
  return {.name = "a short write is reported as complete",
          .rule = "CMP-5",
          .expected_reason = "a short write is reported as complete",
          .wrap = &Wrap<ClaimsEverything>};
}

LoopMutant CMP_6() {
  return {.name = "a write raises SIGPIPE",
          .rule = "CMP-6",
          .expected_reason = "SIGPIPE was raised; Send",
          .wrap = &Wrap<SendsWithSignal>};
}

LoopMutant CMP_7() {
  return {.name = "completions are delivered recursively",
          .rule = "CMP-7",
          .expected_reason = "the stack grows with a chain of completions",
          .loop_mutation = LoopMutation::kRecurse};
}

LoopMutant CMP_8() {
  return {.name = "EINTR is delivered as a result",
          .rule = "CMP-8",
          .expected_reason = "-4 (EINTR)",
          .wrap = &Wrap<ReportsInterruption>};
}

LoopMutant CMP_9() {
  return {.name = "the final completion of a multishot operation is flagged more",
          .rule = "CMP-9",
          .expected_reason =
              "a cancelled multishot operation has no completion that is not flagged more",
          .loop_mutation = LoopMutation::kFinalFlaggedMore};
}

LoopMutant CMP_10() {
  return {.name = "the buffer of a cancelled operation is not returned",
          .rule = "CMP-10",
          .expected_reason = "buffers that did not come back",
          .wrap = &Wrap<LosesBufferOnCancel>};
}

}  // namespace tenon::conformance::loop_mutants
