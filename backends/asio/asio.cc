#include "tenon/backends/asio/asio.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <optional>

#include "tenon/backends/asio/asio_backend.h"
#include "tenon/backends/asio/own_context.h"
#include "tenon/backends/asio/watch.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::asio {
namespace {

absl::Status ProbeEventfd() {
  const UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
  return wake.ok() ? absl::OkStatus() : OsError(errno, "eventfd");
}

// Makes a context, as Create would, and throws it away.
absl::Status ProbeContext() noexcept {
  std::optional<boost::asio::io_context> context;
  if (absl::Status status = MakeOwnContext(context); !status.ok()) return status;
  absl::Status status;
  return WatchService::Of(*context, &status) != nullptr ? ProbeEventfd() : status;
}

void ReportFeatures(bool available, absl::FunctionRef<void(const BackendFeature&)> report) {
  report({.name = "epoll, eventfd",
          .since = "Linux 2.6.27",
          .available = available,
          .without = "the backend cannot run"});
}

class AsioFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "asio"; }
  absl::Status Probe() const noexcept override { return ProbeContext(); }
  void Features(absl::FunctionRef<void(const BackendFeature&)> report) const override {
    ReportFeatures(Probe().ok(), report);
  }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    return AsioBackend::Create(options, allocator);
  }
};

}  // namespace

const LoopBackendFactory& Factory() {
  static constexpr AsioFactory kFactory;
  return kFactory;
}

absl::Status ContextFactory::Probe() const noexcept {
  absl::Status status;
  return WatchService::Of(context_, &status) != nullptr ? ProbeEventfd() : status;
}

void ContextFactory::Features(absl::FunctionRef<void(const BackendFeature&)> report) const {
  ReportFeatures(Probe().ok(), report);
}

absl::StatusOr<Owned<LoopBackend>> ContextFactory::Create(const LoopOptions& options,
                                                          Allocator& allocator) const noexcept {
  return AsioBackend::CreateOver(context_, options, allocator);
}

}  // namespace tenon::asio
