// One loop for each processor, each on a thread of its own.

#ifndef TENON_RUNTIME_LOOP_GROUP_H_
#define TENON_RUNTIME_LOOP_GROUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/open_allocator.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/runtime/tcp_socket.h"

namespace tenon::runtime {

struct LoopGroupOptions {
  // As in LoopConfig, for each loop. The allocator must be thread-safe.
  absl::string_view backend = kAutomatic;
  LoopOptions loop = {};
  Allocator* allocator = nullptr;
  // Unless empty, each loop has an allocator of its own by this spec (OpenAllocator), such as
  // "jemalloc_arena": made on its thread, and destroyed there with the loop. `allocator` is then
  // not used. What callbacks allocate from Loop::allocator() is freed before the loop's end; what
  // is not is logged as an error.
  absl::string_view allocator_spec = {};
  // How many loops, at most 1,024; 0 is one for each processor that this process may use.
  uint32_t loops = 0;
  // Keeps the thread of each loop on one processor, in turn over those the process may use.
  bool pin = true;
};

// A fixed set of loops that run until the group is drained.
//
// Ownership: the group owns its loops and threads.
// Threads: the group's methods may be called from any thread that is not one of the loops'. The
//   loops are their own threads': others reach them by Post.
// Reentrancy: not from callbacks of its loops, save Post and size.
// Shutdown: Drain, or the destructor, which drains without a bound.
//
//   auto group = runtime::LoopGroup::Start({.backend = "epoll"});
//   if (!group.ok()) return group.status();
//   auto address = (*group)->Listen(any_port, {}, &ServeOn, &server);
class LoopGroup {
 public:
  // What Listen calls on each loop's thread, with that loop's own listening handle.
  using OnListener = void (*)(Loop& loop, Handle listener, uint32_t index, void* context);

  static constexpr uint32_t kMaxLoops = 1024;

  // Starts the threads and opens a loop on each. A failure of any (OpenAllocator, OpenLoop, a
  // thread, pinning) ends those that were started and is returned with the number of the loop.
  static absl::StatusOr<std::unique_ptr<LoopGroup>> Start(const LoopGroupOptions& options);

  ~LoopGroup();
  LoopGroup(const LoopGroup&) = delete;
  LoopGroup& operator=(const LoopGroup&) = delete;

  uint32_t size() const { return static_cast<uint32_t>(members_.size()); }

  // Runs a task on the loop of that number (Loop::Post). Any thread, also of another loop.
  // REQUIRES: index < size(); the group is not drained.
  bool Post(uint32_t index, PostedTask& task) { return members_[index]->loop->Post(task); }

  // Opens one listening socket for each loop at the same address (SO_REUSEPORT), so that the kernel
  // spreads connections over the loops; a port of 0 is chosen once for all. Calls `on_listener` on
  // each loop's thread, and returns the address when all have returned. On failure no socket
  // remains, and nothing was called.
  absl::StatusOr<SocketAddress> Listen(const SocketAddress& address, ListenOptions options,
                                       OnListener on_listener, void* context);

  // Drains every loop (Loop::Drain) within `timeout_ns` from now and ends the threads of those that
  // were. The first error of a loop, with its number; loops that are not drained by then go on, and
  // Drain may be called again. REQUIRES: no other Drain is under way.
  absl::Status Drain(int64_t timeout_ns = kForeverNs);

 private:
  // What the owner asks of a member's thread.
  enum class Command : uint8_t { kRun, kDrain };

  struct Member {
    uint32_t index = 0;
    int processor = -1;
    std::thread thread;
    // Set by the thread before `opened`; valid until it has been drained.
    Loop* loop = nullptr;
    absl::Mutex mutex;
    bool opened ABSL_GUARDED_BY(mutex) = false;
    bool drained ABSL_GUARDED_BY(mutex) = false;
    Command command ABSL_GUARDED_BY(mutex) = Command::kRun;
    int64_t drain_timeout_ns ABSL_GUARDED_BY(mutex) = 0;
    // Of opening, then of the last drain.
    absl::Status status ABSL_GUARDED_BY(mutex);
  };

  explicit LoopGroup(const LoopGroupOptions& options) : options_(options) {}

  absl::Status StartMember(uint32_t index, int processor);
  void RunMember(Member& member);
  absl::Status OpenMember(const Member& member, AllocatorStack& allocator, Owned<Loop>& loop);
  static absl::Status AwaitDrain(Member& member);

  const LoopGroupOptions options_;
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_LOOP_GROUP_H_
