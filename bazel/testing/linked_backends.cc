// linked_with_SET: prints the names of the backends in this binary, one a line, and runs a loop on
// each that can run here.
//
// Exit status: 0, or 1 if a loop does not run where its backend can.

#include <iostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"

namespace {

absl::Status RunLoop(const tenon::LoopBackendFactory& backend) {
  tenon::alloc::SystemAllocator allocator;
  absl::StatusOr<tenon::Owned<tenon::Loop>> loop = tenon::Loop::Create(backend, {}, allocator);
  if (!loop.ok()) return loop.status();
  bool completed = false;
  tenon::Operation timer(
      [](tenon::Operation& operation) { *static_cast<bool*>(operation.context()) = true; },
      &completed);
  timer.PrepareTimer(tenon::kMillisecondNs);
  (*loop)->Submit(timer);
  (*loop)->Run();
  return completed ? absl::OkStatus() : absl::InternalError("the timer did not complete");
}

}  // namespace

int main() {
  int status = 0;
  for (const tenon::LoopBackendFactory* backend : tenon::runtime::LinkedBackends()) {
    std::cout << backend->name() << "\n";
    const absl::Status probe = backend->Probe();
    const absl::Status run = probe.ok() ? RunLoop(*backend) : absl::OkStatus();
    if (!probe.ok()) std::cerr << backend->name() << " cannot run here: " << probe << "\n";
    if (run.ok()) continue;
    std::cerr << backend->name() << ": " << run << "\n";
    status = 1;
  }
  return status;
}
