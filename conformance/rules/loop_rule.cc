#include "tenon/conformance/rules/loop_rule.h"

#include "absl/log/log.h"
#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::conformance {

const BackendCapabilities& LoopRule::capabilities() {
  if (capabilities_.has_value()) return *capabilities_;
  alloc::SystemAllocator system;
  absl::StatusOr<Owned<LoopBackend>> backend = factory_.Create(LoopOptions(), system);
  EXPECT_TRUE(backend.ok()) << "no backend to ask for its capabilities: " << backend.status();
  capabilities_ = backend.ok() ? (*backend)->capabilities() : BackendCapabilities();
  return *capabilities_;
}

bool LoopRule::Has(std::string_view capability) {
  if (capability == "native_files") return capabilities().native_files;
  if (capability == "multishot") return capabilities().multishot;
  if (capability == "provided_buffers") return capabilities().provided_buffers;
  LOG(FATAL) << "no capability is called " << capability;
}

}  // namespace tenon::conformance
