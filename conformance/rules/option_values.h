// The options that the suite makes allocators with.

#ifndef TENON_CONFORMANCE_RULES_OPTION_VALUES_H_
#define TENON_CONFORMANCE_RULES_OPTION_VALUES_H_

#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/memory/allocator_factory.h"

namespace tenon::conformance {

// The spec of the factory's allocators with the values below where something must be said, over
// `inner` unless that is empty: "quota(bytes=64MiB,system)".
std::string ConformanceSpec(const AllocatorFactory& factory, std::string_view inner);

// A value for each of the factory's options: its default, or what the suite says where something
// must be said. That is 64 MiB for a size, such as that of a quota: more than any rule needs at a
// time, and little enough to be used up.
// REQUIRES: the defaults are values of their kinds.
std::vector<AllocatorOptionValue> ConformanceOptions(const AllocatorFactory& factory);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RULES_OPTION_VALUES_H_
