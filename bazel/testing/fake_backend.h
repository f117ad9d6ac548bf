// A factory with a name and no backend, for tests of the rules.

#ifndef TENON_BAZEL_TESTING_FAKE_BACKEND_H_
#define TENON_BAZEL_TESTING_FAKE_BACKEND_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/backend_factory.h"

namespace tenon {

class FakeBackendFactory final : public LoopBackendFactory {
 public:
  explicit constexpr FakeBackendFactory(absl::string_view name) : name_(name) {}

  absl::string_view name() const noexcept override { return name_; }
  absl::Status Probe() const noexcept override { return absl::OkStatus(); }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions&,
                                            Allocator&) const noexcept override {
    return absl::UnimplementedError("a fake");
  }

 private:
  absl::string_view name_;
};

}  // namespace tenon

#endif  // TENON_BAZEL_TESTING_FAKE_BACKEND_H_
