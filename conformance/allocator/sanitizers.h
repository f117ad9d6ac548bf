// Which sanitizer this is built with: they take the place of malloc, and time.

#ifndef TENON_CONFORMANCE_ALLOCATOR_SANITIZERS_H_
#define TENON_CONFORMANCE_ALLOCATOR_SANITIZERS_H_

#include "absl/base/config.h"

namespace tenon::conformance {

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

#ifdef ABSL_HAVE_THREAD_SANITIZER
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

// How much of some work to do: all, or a part where each step takes ten times as long.
constexpr int Scaled(int steps) { return kSanitized ? steps / 5 + 1 : steps; }

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_SANITIZERS_H_
