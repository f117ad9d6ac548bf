// Work handed to a loop from any thread.

#ifndef TENON_CORE_LOOP_POSTED_TASK_H_
#define TENON_CORE_LOOP_POSTED_TASK_H_

#include <atomic>

#include "absl/log/check.h"

namespace tenon {

// A call to be made on a loop's thread, in memory of the caller (Loop::Post).
//
// Ownership: the caller's, alive until it has run. Destroying it while posted is caught by a CHECK.
// Threads: any may post; it runs on the loop's thread.
// Reentrancy: it may be posted again from its own call.
class PostedTask {
 public:
  using Callback = void (*)(PostedTask& task);

  explicit PostedTask(Callback callback, void* context = nullptr)
      : callback_(callback), context_(context) {}
  ~PostedTask() {
    CHECK(!posted_.load(std::memory_order_relaxed)) << "WAK-4: a task is destroyed while posted";
  }
  PostedTask(const PostedTask&) = delete;
  PostedTask& operator=(const PostedTask&) = delete;

  void* context() const { return context_; }

 private:
  friend class PostQueue;

  Callback callback_;
  void* context_;
  std::atomic<bool> posted_{false};
  PostedTask* next_ = nullptr;
};

// Tasks posted from any thread, taken by one. Unbounded, as the tasks are the callers' memory.
class PostQueue {
 public:
  PostQueue() = default;
  PostQueue(const PostQueue&) = delete;
  PostQueue& operator=(const PostQueue&) = delete;

  // Appends a task; false, with no effect, when it is already posted and has not begun to run.
  // Any thread.
  bool Push(PostedTask& task);

  bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

  // Runs everything that was posted before the call, in the order of posting by each thread
  // (WAK-4). Returns how many ran. The loop's thread.
  uint64_t RunAll();

  // In a forked child: forgets what was posted, so that the tasks may be destroyed.
  void AbandonInChild();

 private:
  // Newest first: pushing is one compare-and-swap; the taker reverses what it took.
  std::atomic<PostedTask*> head_{nullptr};
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_POSTED_TASK_H_
