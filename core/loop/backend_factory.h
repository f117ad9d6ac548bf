// How a backend is named, probed and made.

#ifndef TENON_CORE_LOOP_BACKEND_FACTORY_H_
#define TENON_CORE_LOOP_BACKEND_FACTORY_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon {

// Something of the kernel that a backend makes use of where it is found.
struct BackendFeature {
  // Such as "multishot receive".
  absl::string_view name;
  // The oldest kernel that has it, such as "Linux 6.0".
  absl::string_view since;
  // Whether this machine has it.
  bool available = false;
  // What happens without it, such as "the backend cannot run".
  absl::string_view without;
};

// Makes backends of one kind. Stateless; one constant object for each kind, with static lifetime.
//
// Threads: any.
class LoopBackendFactory {
 public:
  // The name by which deployments choose it, such as "epoll". Lower case, digits, underscores.
  virtual absl::string_view name() const noexcept = 0;

  // Whether the backend can run on this machine, now: OK, or a status that names what is missing
  // and why it likely is (INIT-4). Leaves nothing behind, and neither throws nor aborts (INIT-5).
  virtual absl::Status Probe() const noexcept = 0;

  // Reports what Probe looks for, and what is used if it is there, each found out anew. For people
  // to read; the strings live forever. Reports nothing where the backend does not know.
  virtual void Features(absl::FunctionRef<void(const BackendFeature&)> /*report*/) const {}

  // Makes a backend. All memory that it will ever need comes from `allocator`, here; the allocator
  // outlives it. Any refusal, of memory (ResourceExhausted without a message, INIT-1), of a
  // descriptor (naming the resource, INIT-3) or by the kernel (naming the likely cause, INIT-4), is
  // an error with everything rolled back (INIT-2), after which another Create may succeed
  // (INIT-6). Every descriptor is close-on-exec (INIT-7).
  // REQUIRES: options.Validate() is OK.
  virtual absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                                    Allocator& allocator) const noexcept = 0;

 protected:
  ~LoopBackendFactory() = default;
};

namespace runtime {

// The backends linked into this binary, in the order of their set (//:backends). Defined by the
// target that tenon_backend_set generates; two sets in one binary do not link.
absl::Span<const LoopBackendFactory* const> LinkedBackends();

}  // namespace runtime
}  // namespace tenon

#endif  // TENON_CORE_LOOP_BACKEND_FACTORY_H_
