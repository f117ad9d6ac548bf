#include "tenon/core/loop/work_pool.h"

#include <signal.h>

#include <cerrno>

#include "absl/log/check.h"
#include "tenon/core/loop/os_error.h"

namespace tenon {

absl::Status WorkPool::Start(Allocator& allocator, uint32_t count, Perform perform, Notify notify,
                             void* context) {
  perform_ = perform;
  notify_ = notify;
  notify_context_ = context;
  threads_ = OwnedArray<pthread_t>::Create(allocator, count);
  if (!threads_.ok()) return OutOfMemory();

  // A thread inherits the mask of its creator: signals are for the application's threads.
  sigset_t all;
  sigset_t saved;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &saved);
  int errnum = 0;
  while (started_ < count && errnum == 0) {
    errnum = pthread_create(&threads_[started_], nullptr, &WorkPool::ThreadMain, this);
    if (errnum == 0) ++started_;
  }
  pthread_sigmask(SIG_SETMASK, &saved, nullptr);
  if (errnum == 0) return absl::OkStatus();
  Join();
  return OsError(errnum, "pthread_create of a blocking-work thread",
                 errnum == EAGAIN ? "the limit on threads is reached; raise RLIMIT_NPROC, the "
                                    "control group's pids.max, or sysctl kernel.threads-max"
                                  : "");
}

void WorkPool::Submit(IntrusiveList<Operation>& operations, uint32_t count) {
  operations.ForEach(
      [](Operation& operation) { operation.Scratch<Progress>() = {Stage::kWaiting}; });
  {
    absl::MutexLock lock(&mutex_);
    waiting_.Append(operations);
  }
  if (count == 1) {
    work_available_.Signal();
  } else {
    work_available_.SignalAll();
  }
}

bool WorkPool::TryRemove(Operation& operation) {
  absl::MutexLock lock(&mutex_);
  if (operation.Scratch<Progress>().stage != Stage::kWaiting) return false;
  IntrusiveList<Operation>::Remove(operation);
  return true;
}

void WorkPool::TakeDone(IntrusiveList<Operation>& done) {
  if (!HasDone()) return;
  absl::MutexLock lock(&mutex_);
  done.Append(done_);
  has_done_.store(false, std::memory_order_relaxed);
}

void WorkPool::Join() {
  {
    absl::MutexLock lock(&mutex_);
    DCHECK(waiting_.empty());
    stopping_ = true;
  }
  work_available_.SignalAll();
  for (; started_ > 0; --started_) {
    CHECK_EQ(pthread_join(threads_[started_ - 1], nullptr), 0);
  }
}

void WorkPool::AbandonInChild() {
  waiting_.Abandon();
  done_.Abandon();
  started_ = 0;
}

void* WorkPool::ThreadMain(void* pool) {
  static_cast<WorkPool*>(pool)->RunThread();
  return nullptr;
}

void WorkPool::RunThread() {
  while (true) {
    Operation* operation = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      while (!HasWork()) work_available_.Wait(&mutex_);
      operation = waiting_.PopFront();
      if (operation == nullptr) return;
      operation->Scratch<Progress>().stage = Stage::kRunning;
    }
    const int32_t result = perform_(*operation);
    {
      absl::MutexLock lock(&mutex_);
      operation->result_ = result;
      operation->Scratch<Progress>().stage = Stage::kDone;
      done_.PushBack(*operation);
      has_done_.store(true, std::memory_order_seq_cst);
    }
    notify_(notify_context_);
  }
}

}  // namespace tenon
