#include "tenon/tools/doctor/examination.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/loop.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/doctor/backend_trial.h"
#include "tenon/tools/doctor/host.h"

namespace tenon::doctor {

Findings Examine() {
  Findings findings;
  findings.host = ReadHost();
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    findings.backends.push_back(TryBackend(*factory));
  }
  const absl::StatusOr<Owned<Loop>> loop = runtime::OpenLoop();
  findings.automatic.status = loop.status();
  if (loop.ok()) findings.automatic.backend = std::string((*loop)->backend_name());
  findings.advice = Advise(findings.host);
  return findings;
}

}  // namespace tenon::doctor
