// Another backend that does nothing, to be put into a set.

#ifndef TENON_BAZEL_TESTING_SECOND_H_
#define TENON_BAZEL_TESTING_SECOND_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::second {

const LoopBackendFactory& Factory();

}  // namespace tenon::second

#endif  // TENON_BAZEL_TESTING_SECOND_H_
