// A backend that does nothing, to be put into a set.

#ifndef TENON_BAZEL_TESTING_FIRST_H_
#define TENON_BAZEL_TESTING_FIRST_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::first {

const LoopBackendFactory& Factory();

}  // namespace tenon::first

#endif  // TENON_BAZEL_TESTING_FIRST_H_
