#include "tenon/backends/asio/loop_driver.h"

#include <cstdint>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "tenon/backends/asio/watch.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::asio {
namespace {

class WatchingDriver final : public LoopDriver, private WatchClient {
 public:
  explicit WatchingDriver(Loop& loop) : loop_(loop) {}
  ~WatchingDriver() override {
    if (watch_ != nullptr) service_->CloseFinally(*watch_);
  }

  absl::Status Init(boost::asio::io_context& context) {
    const absl::StatusOr<int> fd = loop_.PollFd();
    if (!fd.ok()) return fd.status();
    absl::Status status;
    service_ = WatchService::Of(context, &status);
    if (service_ == nullptr) return status;
    absl::StatusOr<Watch*> watch = service_->Open(*fd, true, *this);
    if (!watch.ok()) return std::move(watch).status();
    watch_ = *watch;
    return watch_->Arm(WaitKind::kInput) == 0 ? absl::OkStatus() : OutOfMemory();
  }

 private:
  void OnReady(Watch& watch, WaitKind kind) noexcept override {
    const uint64_t generation = watch.generation();
    // Where the loop runs the context at the moment, its turn sees to everything.
    if (!loop_.in_turn()) loop_.Poll();
    // A callback may have destroyed this, which has closed the watch.
    if (watch.generation() != generation) return;
    // Says at once if there is more. Its memory is free again, so it cannot fail.
    CHECK_EQ(watch.Arm(kind), 0);
  }
  void OnContextGone() noexcept override { watch_ = nullptr; }

  Loop& loop_;
  WatchService* service_ = nullptr;
  Watch* watch_ = nullptr;
};

}  // namespace

absl::StatusOr<Owned<LoopDriver>> LoopDriver::Create(boost::asio::io_context& context,
                                                     Loop& loop) noexcept {
  Owned<WatchingDriver> driver = MakeOwned<WatchingDriver>(loop.allocator(), loop);
  if (driver == nullptr) return OutOfMemory();
  if (absl::Status status = driver->Init(context); !status.ok()) return status;
  return driver;
}

}  // namespace tenon::asio
