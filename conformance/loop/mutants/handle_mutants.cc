// Loops and backends that mistreat descriptors: HDL-1 … HDL-6.

#include <fcntl.h>

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/loop/mutants/intercepting_backend.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance::loop_mutants {
namespace {

// Says that a descriptor is attached though the kernel refused it; nothing ever arrives on it.
class AttachesInName final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override {
    const absl::Status status = good().Attach(slot, fd, kind);
    if (absl::IsUnimplemented(status)) return status;
    // A backend whose Attach makes no system call cannot be refused one; this one makes its own.
    const bool refused = !status.ok() || ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL)) != 0;
    if (!refused) return status;
    if (status.ok()) good().Detach(slot, fd);
    refused_.insert(slot);
    return absl::OkStatus();
  }
  void Detach(uint32_t slot, int fd) noexcept override {
    if (refused_.erase(slot) == 0) good().Detach(slot, fd);
  }

 protected:
  bool Takes(Operation& operation, CompletionSink&) noexcept override {
    return refused_.contains(operation.handle().index);
  }

 private:
  std::set<uint32_t> refused_;
};

// Descriptors that were closed and stay registered with the kernel, each by the number it had.
class LeftRegistered {
 public:
  void Add(int fd) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  // The former numbers of those that are ready now.
  std::vector<int> Ready() {
    epoll_event events[16];
    const int count = ::epoll_wait(epoll_.get(), events, 16, 0);
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(events[i].data.fd);
    return numbers;
  }

 private:
  const UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
};

// Does Polls on a number that was in use before by itself, and matches events by the number alone.
class MatchesByNumber final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

  void Detach(uint32_t slot, int fd) noexcept override {
    former_.Add(fd);
    used_.insert(fd);
    good().Detach(slot, fd);
  }
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    // Its own are looked for now and then, before the good backend reads what they wait to see.
    const bool any = LookForEvents(sink);
    const int64_t soon_ns = DeadlineAfter(Now(), taken().empty() ? kForeverNs : kMillisecondNs);
    InterceptingBackend::Wait(any ? 0 : std::min(deadline_ns, soon_ns), sink);
  }

 protected:
  bool Takes(Operation& operation, CompletionSink&) noexcept override {
    return operation.opcode() == Opcode::kPoll && used_.contains(operation.fd());
  }

 private:
  bool LookForEvents(CompletionSink& sink) {
    const std::vector<int> numbers = former_.Ready();
    const std::vector<Operation*> polls = taken();
    for (Operation* poll : polls) {
      const bool confused = std::count(numbers.begin(), numbers.end(), poll->fd()) > 0;
      const int32_t ready = confused ? POLLIN : PollNow(poll->fd(), poll->parameters().poll_events);
      if (ready != 0) CompleteTaken(*poll, ready, sink);
    }
    return taken().size() != polls.size();
  }

  LeftRegistered former_;
  std::set<int> used_;
};

// Never removes a descriptor from the instance that it waits on.
class StaysRegistered final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  void Detach(uint32_t slot, int fd) noexcept override {
    former_.Add(fd);
    good().Detach(slot, fd);
  }
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    good().Wait(former_.Ready().empty() ? deadline_ns : 0, sink);
  }

 private:
  LeftRegistered former_;
};

}  // namespace

LoopMutant HDL_1() {
  return {.name = "attaching fails and is reported as success",
          .rule = "HDL-1",
          .expected_reason = "after an Adopt that reported success, a Recv did not complete",
          .wrap = &Wrap<AttachesInName>};
}

LoopMutant HDL_2() {
  return {.name = "events are matched by descriptor number",
          .rule = "HDL-2",
          .expected_reason = "reached the next owner of its number",
          .wrap = &Wrap<MatchesByNumber>};
}

LoopMutant HDL_3() {
  return {.name = "a closed handle stays registered",
          .rule = "HDL-3",
          .expected_reason = "spins on events of a descriptor that was closed",
          .wrap = &Wrap<StaysRegistered>};
}

LoopMutant HDL_4() {
  return {.name = "a close is dropped when the queue is full",
          .rule = "HDL-4",
          .expected_reason = "is still open",
          .loop_mutation = LoopMutation::kDropCloseWhenFull};
}

LoopMutant HDL_5() {
  return {.name = "closes before what is pending has completed",
          .rule = "HDL-5",
          .expected_reason = "the descriptor was closed before",
          .loop_mutation = LoopMutation::kCloseBeforeComplete};
}

LoopMutant HDL_6() {
  return {.name = "Accept retries at once at the limit",
          .rule = "HDL-6",
          .expected_reason = "Accept spins at the descriptor limit",
          .loop_mutation = LoopMutation::kAcceptSpins};
}

}  // namespace tenon::conformance::loop_mutants
