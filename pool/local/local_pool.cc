#include "tenon/pool/local/local_pool.h"

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

struct LocalMode {
  using Mutex = NoMutex;

  static void Wake(AcquireNode& node) { node.Woken(); }
  // Asking the clock would cost more than the lease.
  static int64_t LeaseTime(const Loop& loop) { return loop.TurnTime(); }
  static void Check([[maybe_unused]] const PoolCore& pool,
                    [[maybe_unused]] const AcquireNode* node) {
    DCHECK(node == nullptr || &node->loop() == &pool.loop())
        << "a task acquires from the local pool of another loop than its own";
  }
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
