#include "tenon/pool/shared/shared_pool.h"

#include <mutex>

#include "absl/base/thread_annotations.h"
#include "tenon/pool/acquire_node.h"
#include "tenon/pool/engine/loop_pool.h"

namespace tenon::pool::shared {
namespace {

// Takes no memory, neither where a thread uses its first nor where threads wait for it, as Abseil's
// does: a lease must be able to end without (POOL-20).
class ABSL_LOCKABLE Lock {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

struct SharedMode {
  using Mutex = Lock;

  static void Wake(AcquireNode& node) { node.Post(); }
  static int64_t LeaseTime(const Loop& loop) { return loop.Now(); }
  static void CheckThread() {}
  static void CheckThreadInDebug() {}
  static void CheckLoop(const Loop&, const Loop&) {}
  static void CheckLoopInDebug(const Loop&, const Loop&) {}
};

class SharedFactory final : public PoolFactory {
 public:
  absl::string_view name() const noexcept override { return "shared"; }
  PoolTraits traits() const noexcept override { return {.any_thread = true, .fifo = true}; }
  absl::StatusOr<Owned<PoolCore>> Create(Loop& loop, ResourcePolicy& policy,
                                         const PoolOptions& options,
                                         Allocator& allocator) const noexcept override {
    return LoopPool<SharedMode>::Create(loop, policy, options, allocator);
  }
};

}  // namespace

const PoolFactory& Factory() {
  static constexpr SharedFactory kFactory;
  return kFactory;
}

}  // namespace tenon::pool::shared
