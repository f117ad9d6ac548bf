#include "tenon/bazel/testing/second.h"

#include "tenon/bazel/testing/fake_backend.h"

namespace tenon::second {

const LoopBackendFactory& Factory() {
  static constexpr FakeBackendFactory kFactory("second");
  return kFactory;
}

}  // namespace tenon::second
