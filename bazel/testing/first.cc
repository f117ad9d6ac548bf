#include "tenon/bazel/testing/first.h"

#include "tenon/bazel/testing/fake_backend.h"

namespace tenon::first {

const LoopBackendFactory& Factory() {
  static constexpr FakeBackendFactory kFactory("first");
  return kFactory;
}

}  // namespace tenon::first
