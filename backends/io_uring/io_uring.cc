#include "tenon/backends/io_uring/io_uring.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "tenon/backends/io_uring/io_uring_backend.h"
#include "tenon/backends/io_uring/prepare.h"
#include "tenon/backends/io_uring/ring.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::io_uring {
namespace {

// Enough to find out whether there can be a ring.
constexpr uint32_t kProbeEntries = 8;

// Whether writes to pipes can be told not to raise SIGPIPE.
bool HasNoSignalWrites() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  char byte = 0;
  const iovec piece = {.iov_base = &byte, .iov_len = 1};
  return ::pwritev2(write_end.get(), &piece, 1, -1, kNoSignalFlag) == 1;
}

class IoUringFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "io_uring"; }

  absl::Status Probe() const noexcept override {
    Ring ring;
    if (absl::Status status = ring.Init(kProbeEntries); !status.ok()) return status;
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
    return wake.ok() ? absl::OkStatus() : OsError(errno, "eventfd");
  }

  void Features(absl::FunctionRef<void(const BackendFeature&)> report) const override {
    constexpr absl::string_view kNothing = "the backend cannot run";
    Ring ring;
    const bool runs = ring.Init(kProbeEntries).ok();
    report({"provided buffer rings", "Linux 5.19", runs, kNothing});
    report({"multishot accept", "Linux 5.19", runs, kNothing});
    report({"zero-copy send", "Linux 6.0", runs, kNothing});
    report({"deferred task work", "Linux 6.1", runs, kNothing});
    report({"rings without a submission array", "Linux 6.6",
            runs && (ring.raw().flags & IORING_SETUP_NO_SQARRAY) != 0,
            "a submission costs one store more"});
    report({"writes without SIGPIPE (RWF_NOSIGNAL)", "Linux 6.18", HasNoSignalWrites(),
            "the signal is blocked while a write to a pipe is in flight"});
  }

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    return IoUringBackend::Create(options, allocator);
  }
};

}  // namespace

const LoopBackendFactory& Factory() {
  static constexpr IoUringFactory kFactory;
  return kFactory;
}

}  // namespace tenon::io_uring
