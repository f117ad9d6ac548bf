// Backends that do not do the work. A suite that any of them gets through proves nothing.

#ifndef TENON_TOOLS_CONFORM_CHEATERS_H_
#define TENON_TOOLS_CONFORM_CHEATERS_H_

#include <string_view>
#include <vector>

#include "tenon/core/loop/backend_factory.h"

namespace tenon::conformance {

struct Cheater {
  std::string_view name;
  // Lives until the process ends.
  const LoopBackendFactory* factory = nullptr;
};

// One that does nothing, one that always fails, one that hangs, one that crashes, and one that
// completes everything with success by rote.
std::vector<Cheater> LoopCheaters();

}  // namespace tenon::conformance

#endif  // TENON_TOOLS_CONFORM_CHEATERS_H_
