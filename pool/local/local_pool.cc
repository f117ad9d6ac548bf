#include "tenon/pool/local/local_pool.h"

#include <pthread.h>

#include "absl/base/thread_annotations.h"
#include "absl/log/check.h"
#include "tenon/pool/acquire_node.h"
#include "tenon/pool/engine/loop_pool.h"

namespace tenon::pool::local {
namespace {

class ABSL_LOCKABLE NoMutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {}
  void unlock() ABSL_UNLOCK_FUNCTION() {}
};

class LocalMode {
 public:
  using Mutex = NoMutex;

  static void Wake(AcquireNode& node) { node.Woken(); }
  // Asking the clock would cost more than the lease.
  static int64_t LeaseTime(const Loop& loop) { return loop.TurnTime(); }

  void CheckThread() const {
    CHECK(pthread_equal(pthread_self(), owner_))
        << "a local pool is used on another thread than its loop's; see shared::Factory()";
  }
  void CheckThreadInDebug() const {
#ifndef NDEBUG
    CheckThread();
#endif
  }
  static void CheckLoop(const Loop& home, const Loop& of_task) {
    CHECK(&home == &of_task)
        << "a task acquires from the local pool of another loop; see shared::Factory()";
  }
  void CheckLoopInDebug([[maybe_unused]] const Loop& home,
                        [[maybe_unused]] const Loop& of_task) const {
#ifndef NDEBUG
    CheckLoop(home, of_task);
#endif
  }

 private:
  const pthread_t owner_ = pthread_self();
};

class LocalFactory final : public PoolFactory {
 public:
  absl::string_view name() const noexcept override { return "local"; }
  PoolTraits traits() const noexcept override { return {.any_thread = false, .fifo = true}; }
  absl::StatusOr<Owned<PoolCore>> Create(Loop& loop, ResourcePolicy& policy,
                                         const PoolOptions& options,
                                         Allocator& allocator) const noexcept override {
    return LoopPool<LocalMode>::Create(loop, policy, options, allocator);
  }
};

}  // namespace

const PoolFactory& Factory() {
  static constexpr LocalFactory kFactory;
  return kFactory;
}

}  // namespace tenon::pool::local
