// A good backend whose operations can be seen going in and coming out.

#ifndef TENON_CONFORMANCE_LOOP_MUTANTS_INTERCEPTING_BACKEND_H_
#define TENON_CONFORMANCE_LOOP_MUTANTS_INTERCEPTING_BACKEND_H_

#include <cstdint>
#include <vector>

#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"

namespace tenon::conformance {

// Forwards everything, and lets a mutant take operations for itself and see those that complete.
//
// Threads: LoopBackend's.
class InterceptingBackend : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override;
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override;
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override;

 protected:
  // Called with each operation that starts. True when the mutant has taken it: it has completed it,
  // or keeps it and calls CompleteTaken later, at a cancel at the latest.
  virtual bool Takes(Operation& /*operation*/, CompletionSink& /*sink*/) noexcept { return false; }

  // Called when the good backend has completed an operation finally. Its result stands; its
  // callback has not run. Not called for multishot operations.
  virtual void OnFinal(const Operation& /*operation*/) noexcept {}

  // Called with each cancel of an operation that the good backend has. False for one that is not to
  // be passed on.
  virtual bool PassesCancel(Operation& /*operation*/) noexcept { return true; }

  // Ends an operation that Takes has kept.
  void CompleteTaken(Operation& operation, int32_t result, CompletionSink& sink);

  // What Takes has kept, and what the good backend has, oldest first.
  const std::vector<Operation*>& taken() const { return taken_; }
  const std::vector<Operation*>& in_flight() const { return in_flight_; }

 private:
  bool StartHeld(CompletionSink& sink);
  bool IsHeld(const Operation& operation);
  // Forgets what has completed since the last call.
  void Sweep();

  std::vector<Operation*> taken_;
  std::vector<Operation*> in_flight_;
  // Popped, and not yet taken by the good backend.
  IntrusiveList<Operation> held_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_MUTANTS_INTERCEPTING_BACKEND_H_
