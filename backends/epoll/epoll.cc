#include "tenon/backends/epoll/epoll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "tenon/backends/epoll/epoll_backend.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::epoll {
namespace {

class EpollFactory final : public LoopBackendFactory {
 public:
  absl::string_view name() const noexcept override { return "epoll"; }

  absl::Status Probe() const noexcept override {
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.ok()) return OsError(errno, "epoll_create1");
    const UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
    return wake.ok() ? absl::OkStatus() : OsError(errno, "eventfd");
  }

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    return EpollBackend::Create(options, allocator);
  }
};

}  // namespace

const LoopBackendFactory& Factory() {
  static constexpr EpollFactory kFactory;
  return kFactory;
}

}  // namespace tenon::epoll
