#include "tenon/runtime/open_loop.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::runtime {
namespace {

using ::testing::HasSubstr;

TEST(OpenLoopTest, AnUnknownBackendIsNotFoundAndNamesThoseLinked) {
  const absl::StatusOr<Owned<Loop>> loop = OpenLoop({.backend = "kqueue"});
  ASSERT_FALSE(loop.ok());
  EXPECT_EQ(loop.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(loop.status().message()), HasSubstr("\"kqueue\""));
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    EXPECT_THAT(std::string(loop.status().message()), HasSubstr(std::string(backend->name())));
  }
}

TEST(OpenLoopTest, EveryLinkedBackendOpensByName) {
  ASSERT_FALSE(LinkedBackends().empty());
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    if (!backend->Probe().ok()) continue;
    const absl::StatusOr<Owned<Loop>> loop = OpenLoop({.backend = backend->name()});
    ASSERT_TRUE(loop.ok()) << loop.status();
    EXPECT_EQ((*loop)->backend_name(), backend->name());
  }
}

TEST(OpenLoopTest, AutomaticTakesTheFirstUsable) {
  std::vector<SkippedBackend> skipped;
  const absl::StatusOr<Owned<Loop>> loop = OpenLoop({.skipped = &skipped});
  ASSERT_TRUE(loop.ok()) << loop.status();
  EXPECT_EQ((*loop)->backend_name(), LinkedBackends()[skipped.size()]->name());
}

TEST(OpenLoopTest, BadOptionsNameTheField) {
  const absl::StatusOr<Owned<Loop>> loop = OpenLoop({.options = {.max_handles = 0}});
  ASSERT_FALSE(loop.ok());
  EXPECT_EQ(loop.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loop.status().message()), HasSubstr("max_handles is 0"));
}

TEST(OpenLoopTest, WantOfMemoryHasNoMessage) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  fault.FailFrom(1);
  const absl::StatusOr<Owned<Loop>> loop = OpenLoop({.allocator = &fault});
  ASSERT_FALSE(loop.ok());
  EXPECT_EQ(loop.status(), absl::Status(absl::StatusCode::kResourceExhausted, ""));
}

}  // namespace
}  // namespace tenon::runtime
