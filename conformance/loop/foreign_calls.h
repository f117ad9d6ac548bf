// Calls of a loop from other threads, and backends that share something with a rule's body.

#ifndef TENON_CONFORMANCE_LOOP_FOREIGN_CALLS_H_
#define TENON_CONFORMANCE_LOOP_FOREIGN_CALLS_H_

#include <sched.h>

#include <utility>

#include "absl/status/statusor.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::conformance {

// The calls of a loop that any thread may make.
enum class Call { kWake, kPost, kStop };

inline constexpr Call kCalls[] = {Call::kWake, Call::kPost, Call::kStop};

inline const char* CallName(Call call) {
  switch (call) {
    case Call::kWake:
      return "Wake";
    case Call::kPost:
      return "Post";
    case Call::kStop:
      return "Stop";
  }
  return "";
}

// Makes `call` on `loop`; `task` is for kPost.
inline void Make(Call call, Loop& loop, PostedTask& task) {
  if (call == Call::kWake) loop.Wake();
  if (call == Call::kPost) loop.Post(task);
  if (call == Call::kStop) loop.Stop();
}

// Looks until `condition` holds, giving the processor away in between.
template <typename Condition>
void AwaitThread(Condition condition, int looks_before_yielding = 1'000) {
  for (int look = 0; !condition(); ++look) {
    if (look > looks_before_yielding) ::sched_yield();
  }
}

// Makes backends of type Decorator, over good ones, that share `state` with a body.
template <typename Decorator, typename State>
class SharingFactory final : public FactoryDecorator {
 public:
  SharingFactory(const LoopBackendFactory& good, State& state)
      : FactoryDecorator(good), state_(state) {}

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    absl::StatusOr<Owned<LoopBackend>> backend = good().Create(options, allocator);
    if (!backend.ok()) return backend;
    Owned<Decorator> decorator = MakeOwned<Decorator>(allocator, *std::move(backend), state_);
    if (decorator == nullptr) return OutOfMemory();
    return Owned<LoopBackend>(std::move(decorator));
  }

 private:
  State& state_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_FOREIGN_CALLS_H_
