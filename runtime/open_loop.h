// From the name of a backend to a loop: where a deployment's choice takes effect.

#ifndef TENON_RUNTIME_OPEN_LOOP_H_
#define TENON_RUNTIME_OPEN_LOOP_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::runtime {

// Stands for the first backend of the linked set that can run here.
inline constexpr absl::string_view kAutomatic = "auto";

// A backend that "auto" passed over, and why.
struct SkippedBackend {
  std::string name;
  absl::Status reason;
};

struct LoopConfig {
  // The name of a linked backend, or "auto".
  absl::string_view backend = kAutomatic;
  LoopOptions options = {};
  // Null: the process's heap (alloc::SystemAllocator). Else it outlives the loop.
  Allocator* allocator = nullptr;
  // Where "auto" reports what it passed over; may be null.
  std::vector<SkippedBackend>* skipped = nullptr;
};

// The linked backend of that name. NotFound, listing those that are linked and how to link others.
// Any thread.
absl::StatusOr<const LoopBackendFactory*> FindBackend(absl::string_view name);

// Makes a loop that belongs to the calling thread. NotFound for an unknown backend; else what
// Loop::Create says of the chosen one: a backend never falls back to another. With "auto", backends
// whose Probe fails are skipped; Unavailable, with every reason, when that leaves none.
//
//   absl::StatusOr<Owned<Loop>> loop = runtime::OpenLoop({.backend = "epoll"});
absl::StatusOr<Owned<Loop>> OpenLoop(const LoopConfig& config = {});

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_OPEN_LOOP_H_
