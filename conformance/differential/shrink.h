// Making a failing script short.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_SHRINK_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_SHRINK_H_

#include <chrono>

#include "absl/functional/function_ref.h"
#include "tenon/conformance/differential/script.h"

namespace tenon::conformance::differential {

struct ShrinkLimits {
  int runs = 600;
  std::chrono::seconds time{60};
};

// The shortest script found that still fails, by leaving out steps, in chunks and then one by one,
// and by making the arguments of those that remain simpler. Ends when nothing can be left out any
// more, or at a limit; what it returns has failed, or is `script`.
//
// REQUIRES: `fails(script)`, which is not called with it again.
Script Shrink(Script script, absl::FunctionRef<bool(const Script&)> fails,
              const ShrinkLimits& limits);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_SHRINK_H_
