#include "tenon/tools/doctor/backend_trial.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::doctor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TryBackendTest, RunsWhatCanRun) {
  int ran = 0;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    if (!factory->Probe().ok()) continue;
    ++ran;
    const BackendFindings findings = TryBackend(*factory);
    EXPECT_EQ(findings.name, factory->name());
    EXPECT_TRUE(findings.status.ok()) << findings.failed_step << ": " << findings.status;
    EXPECT_EQ(findings.failed_step, "");
    ASSERT_TRUE(findings.cost.has_value());
    EXPECT_GE(findings.cost->descriptors, 2);
    EXPECT_EQ(findings.cost->threads, static_cast<int>(LoopOptions().work_threads));
    EXPECT_GT(findings.cost->reserved_bytes, sizeof(Loop));
    EXPECT_GT(findings.cost->resident_bytes, 0u);
    EXPECT_EQ(findings.embeddable, findings.cost->embedding_descriptors > 0);
  }
  EXPECT_GT(ran, 0);
}

// Completes nothing, and never gives anything back.
class SilentBackend final : public LoopBackend {
 public:
  BackendCapabilities capabilities() const noexcept override { return {.multishot = true}; }
  absl::Status Attach(uint32_t, int, DescriptorKind) noexcept override { return absl::OkStatus(); }
  void Detach(uint32_t, int) noexcept override {}
  bool Start(SubmissionBatch& batch, CompletionSink&) noexcept override {
    while (!batch.empty()) batch.Pop();
    return false;
  }
  void Cancel(Operation&, CompletionSink&) noexcept override {}
  void Wait(int64_t deadline_ns, CompletionSink&) noexcept override {
    pollfd entry = {.fd = wake_.get(), .events = POLLIN, .revents = 0};
    const int64_t left_ns = std::clamp<int64_t>(deadline_ns - Now(), 0, kSecondNs);
    const timespec timeout = {.tv_sec = left_ns / kSecondNs, .tv_nsec = left_ns % kSecondNs};
    ::ppoll(&entry, 1, &timeout, nullptr);
    eventfd_t count = 0;
    if (entry.revents != 0) ::eventfd_read(wake_.get(), &count);
  }
  void Wake() noexcept override { ::eventfd_write(wake_.get(), 1); }
  int64_t Now() const noexcept override {
    timespec now = {};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * kSecondNs + now.tv_nsec;
  }
  absl::Status RegisterBuffers(BufferPool&) noexcept override { return absl::OkStatus(); }
  void ReturnBuffer(uint16_t) noexcept override {}

 private:
  const UniqueFd wake_{::eventfd(0, EFD_CLOEXEC)};
};

// Refuses where it is told to; else makes silent backends.
class FakeFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "fake"; }
  absl::Status Probe() const noexcept override { return probe; }
  void Features(absl::FunctionRef<void(const BackendFeature&)> report) const override {
    report({.name = "magic", .since = "Linux 9.9", .available = false, .without = "tricks"});
  }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions&,
                                            Allocator& allocator) const noexcept override {
    if (!create.ok()) return create;
    return MakeOwned<SilentBackend>(allocator);
  }

  absl::Status probe;
  absl::Status create;
};

TEST(TryBackendTest, ReportsWhatProbeAndCreateSay) {
  FakeFactory factory;
  factory.create = absl::ResourceExhaustedError("");
  BackendFindings findings = TryBackend(factory);
  EXPECT_EQ(findings.failed_step, "create");
  EXPECT_EQ(findings.status, factory.create);

  factory.probe = absl::PermissionDeniedError("magic: forbidden; allow it");
  findings = TryBackend(factory);
  EXPECT_EQ(findings.failed_step, "probe");
  EXPECT_EQ(findings.status, factory.probe);
  EXPECT_EQ(findings.cost, std::nullopt);
  ASSERT_EQ(findings.features.size(), 1u);
  EXPECT_EQ(findings.features[0].name, "magic");
  EXPECT_EQ(findings.features[0].since, "Linux 9.9");
  EXPECT_FALSE(findings.features[0].available);
  EXPECT_EQ(findings.features[0].without, "tricks");
}

TEST(TryBackendTest, DoesNotWaitForWhatNeverCompletes) {
  const BackendFindings findings = TryBackend(FakeFactory(), 20 * kMillisecondNs);
  EXPECT_EQ(findings.failed_step, "echo");
  EXPECT_TRUE(absl::IsDeadlineExceeded(findings.status)) << findings.status;
  EXPECT_THAT(std::string(findings.status.message()), HasSubstr("has not completed after 20 ms"));
  EXPECT_TRUE(findings.capabilities.multishot);
  EXPECT_FALSE(findings.embeddable);
  EXPECT_EQ(findings.cost, std::nullopt);
}

}  // namespace
}  // namespace tenon::doctor
