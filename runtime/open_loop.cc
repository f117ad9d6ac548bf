#include "tenon/runtime/open_loop.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tenon/runtime/process_heap.h"

namespace tenon::runtime {
namespace {

std::string LinkedNames() {
  return absl::StrJoin(LinkedBackends(), ", ",
                       [](std::string* out, const LoopBackendFactory* backend) {
                         absl::StrAppend(out, backend->name());
                       });
}

absl::StatusOr<const LoopBackendFactory*> FirstUsable(std::vector<SkippedBackend>* skipped) {
  std::string reasons;
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    absl::Status status = backend->Probe();
    if (status.ok()) return backend;
    absl::StrAppend(&reasons, "; ", backend->name(), ": ", status.message());
    if (skipped != nullptr) skipped->push_back({std::string(backend->name()), std::move(status)});
  }
  if (reasons.empty()) {
    return absl::NotFoundError(
        "no loop backend is linked; point the label_flag @tenon//:backends at a "
        "tenon_backend_set");
  }
  return absl::UnavailableError(absl::StrCat("no linked loop backend can run here", reasons));
}

}  // namespace

absl::StatusOr<const LoopBackendFactory*> FindBackend(absl::string_view name) {
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    if (backend->name() == name) return backend;
  }
  const std::string linked = LinkedNames();
  return absl::NotFoundError(absl::StrCat(
      "loop backend \"", name,
      "\" is not linked into this binary; linked: ", linked.empty() ? "none" : linked,
      "; add it to the tenon_backend_set that the label_flag @tenon//:backends points at"));
}

absl::StatusOr<Owned<Loop>> OpenLoop(const LoopConfig& config) {
  absl::StatusOr<const LoopBackendFactory*> backend =
      config.backend == kAutomatic ? FirstUsable(config.skipped) : FindBackend(config.backend);
  if (!backend.ok()) return std::move(backend).status();
  Allocator& allocator = config.allocator == nullptr ? ProcessHeap() : *config.allocator;
  return Loop::Create(**backend, config.options, allocator);
}

}  // namespace tenon::runtime
