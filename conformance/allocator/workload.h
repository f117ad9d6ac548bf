// Random use of an allocator, by one thread or several.

#ifndef TENON_CONFORMANCE_ALLOCATOR_WORKLOAD_H_
#define TENON_CONFORMANCE_ALLOCATOR_WORKLOAD_H_

#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::conformance {

// Blocks on their way from one thread to another, to be freed there.
//
// Threads: any.
class BlockExchange {
 public:
  // Gives a block away and takes one that some thread gave; null when there is none or few.
  HeldBlock Swap(const HeldBlock& block);

  // All that nobody has taken.
  std::vector<HeldBlock> TakeAll();

 private:
  absl::Mutex mutex_;
  std::vector<HeldBlock> blocks_ ABSL_GUARDED_BY(mutex_);
};

struct WorkloadOptions {
  // Blocks held at once at most.
  size_t max_blocks = 64;
  // Of most blocks; one in a hundred has up to 16 times as much.
  size_t max_size = 512;
  // Blocks change hands through it; null where each thread frees its own.
  BlockExchange* exchange = nullptr;
};

// Allocates, frees and resizes at random, with every block stamped.
//
// Threads: one, also where several share an allocator. A seed determines what one does.
class Workload {
 public:
  // `allocator` outlives it. Stamps begin with the seed, which is unique among those running.
  Workload(Allocator& allocator, uint64_t seed, WorkloadOptions options = {});

  // Does `steps` things. Requests may fail. Returns false after the first failure of the rule, and
  // stops there.
  bool Run(int steps);

  // Frees everything that is held.
  void FreeAll();
  // Lets go of what is held, which the caller takes over or the allocator releases.
  std::vector<HeldBlock> Abandon();

  const std::vector<HeldBlock>& blocks() const { return blocks_; }
  // Of the blocks held, as asked for.
  uint64_t live_bytes() const;

 private:
  void Step();
  void Add();
  void ResizeOne(HeldBlock& block);
  size_t RandomSize();
  uint64_t Random(uint64_t limit) { return random_() % limit; }

  Allocator& allocator_;
  const WorkloadOptions options_;
  std::mt19937_64 random_;
  uint64_t next_stamp_;
  std::vector<HeldBlock> blocks_;
};

// Calls `body(0)`, `body(1)`, ... at the same time, each on a thread of its own, and waits.
void OnThreads(int count, absl::FunctionRef<void(int)> body);

// A thread that does what it is told, one thing after another.
class Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `work` on the thread and waits for it.
  void Do(absl::FunctionRef<void()> work);

 private:
  void Loop();
  bool HasWorkOrEnds() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return work_ != nullptr || ends_;
  }
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return work_ == nullptr; }

  absl::Mutex mutex_;
  absl::FunctionRef<void()>* work_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_WORKLOAD_H_
