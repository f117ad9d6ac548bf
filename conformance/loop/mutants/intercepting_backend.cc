#include "tenon/conformance/loop/mutants/intercepting_backend.h"

#include <algorithm>
#include <cerrno>

namespace tenon::conformance {

bool InterceptingBackend::Start(SubmissionBatch& batch, CompletionSink& sink) noexcept {
  while (!batch.empty()) {
    Operation& operation = batch.Pop();
    if (!Takes(operation, sink)) {
      held_.PushBack(operation);
    } else if (operation.state() == OperationState::kInFlight) {
      taken_.push_back(&operation);
    }
  }
  const bool has_more = StartHeld(sink);
  Sweep();
  return has_more || !held_.empty();
}

bool InterceptingBackend::StartHeld(CompletionSink& sink) {
  // Also with nothing held: the good backend may have asked to be called again.
  held_.ForEach([this](Operation& operation) { in_flight_.push_back(&operation); });
  SubmissionBatch batch(held_);
  const bool has_more = good().Start(batch, sink);
  in_flight_.resize(in_flight_.size() - held_.size());
  return has_more;
}

void InterceptingBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  if (std::find(taken_.begin(), taken_.end(), &operation) != taken_.end()) {
    CompleteTaken(operation, -ECANCELED, sink);
  } else if (IsHeld(operation)) {
    IntrusiveList<Operation>::Remove(operation);
    sink.Complete(operation, -ECANCELED);
  } else if (PassesCancel(operation)) {
    good().Cancel(operation, sink);
    Sweep();
  }
}

void InterceptingBackend::Wait(int64_t deadline_ns, CompletionSink& sink) noexcept {
  good().Wait(held_.empty() ? deadline_ns : 0, sink);
  Sweep();
}

void InterceptingBackend::CompleteTaken(Operation& operation, int32_t result,
                                        CompletionSink& sink) {
  taken_.erase(std::find(taken_.begin(), taken_.end(), &operation));
  sink.Complete(operation, result);
}

bool InterceptingBackend::IsHeld(const Operation& operation) {
  bool found = false;
  held_.ForEach([&](const Operation& held) { found = found || &held == &operation; });
  return found;
}

void InterceptingBackend::Sweep() {
  const auto is_over = [this](const Operation* operation) {
    // The end of a multishot operation is not seen from here: it may wait behind a completion.
    if (operation->multishot()) return true;
    const bool completed = operation->state() != OperationState::kInFlight;
    if (completed) OnFinal(*operation);
    return completed;
  };
  in_flight_.erase(std::remove_if(in_flight_.begin(), in_flight_.end(), is_over), in_flight_.end());
}

}  // namespace tenon::conformance
