#include "tenon/core/loop/posted_task.h"

namespace tenon {

bool PostQueue::Push(PostedTask& task) {
  if (task.posted_.exchange(true, std::memory_order_acq_rel)) return false;
  PostedTask* head = head_.load(std::memory_order_relaxed);
  do {
    task.next_ = head;
    // Sequentially consistent: pairs with the loop's look at the queue before it sleeps (WAK-1).
  } while (!head_.compare_exchange_weak(head, &task, std::memory_order_seq_cst,
                                        std::memory_order_relaxed));
  return true;
}

uint64_t PostQueue::RunAll() {
  PostedTask* newest = head_.exchange(nullptr, std::memory_order_acquire);
  PostedTask* oldest = nullptr;
  while (newest != nullptr) {
    PostedTask* next = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = next;
  }
  uint64_t ran = 0;
  while (oldest != nullptr) {
    PostedTask* next = oldest->next_;
    // From here on it may be posted again, and the call may destroy it.
    const PostedTask::Callback callback = oldest->callback_;
    oldest->posted_.store(false, std::memory_order_release);
    callback(*oldest);
    oldest = next;
    ++ran;
  }
  return ran;
}

void PostQueue::AbandonInChild() {
  PostedTask* task = head_.exchange(nullptr, std::memory_order_acquire);
  for (; task != nullptr; task = task->next_) task->posted_.store(false, std::memory_order_relaxed);
}

}  // namespace tenon
