// Scripts from seeds.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_GENERATE_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_GENERATE_H_

#include <cstdint>

#include "tenon/conformance/differential/script.h"

namespace tenon::conformance::differential {

// Steps of a script unless said otherwise.
inline constexpr int kDefaultSteps = 40;
inline constexpr int kMaxSteps = 1'000;

// A script of `steps` steps (1 to kMaxSteps), by the seed alone: the same on every machine. It
// opens a few descriptors of any kind, submits operations that fit them, and some that do not, and
// writes, reads, cancels and closes in between.
Script Generate(uint64_t seed, int steps = kDefaultSteps);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_GENERATE_H_
