#include "tenon/core/loop/work_pool.h"

#include <signal.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/perform.h"

namespace tenon {
namespace {

class WorkPoolTest : public testing::Test {
 protected:
  ~WorkPoolTest() override { pool_.Join(); }

  void Start(uint32_t threads) {
    const auto notify = [](void* test) { ++static_cast<WorkPoolTest*>(test)->notified_; };
    const absl::Status status = pool_.Start(system_, threads, &PerformBlocking, notify, this);
    ASSERT_TRUE(status.ok()) << status;
  }

  Operation& Add(int32_t (*function)(void*), void* argument) {
    operations_.push_back(std::make_unique<Operation>([](Operation&) {}));
    Operation& operation = *operations_.back();
    operation.PrepareWork(function, argument);
    IntrusiveList<Operation> one;
    one.PushBack(operation);
    pool_.Submit(one, 1);
    return operation;
  }

  // Takes what is done until there are `count`, in the order of completion.
  std::vector<Operation*> Await(size_t count) {
    std::vector<Operation*> done;
    while (done.size() < count) {
      IntrusiveList<Operation> list;
      pool_.TakeDone(list);
      while (Operation* operation = list.PopFront()) done.push_back(operation);
      std::this_thread::yield();
    }
    return done;
  }

  alloc::SystemAllocator system_;
  std::atomic<int> notified_{0};
  WorkPool pool_;
  std::vector<std::unique_ptr<Operation>> operations_;
};

TEST_F(WorkPoolTest, RunsEveryOperationAndNotifies) {
  Start(3);
  std::atomic<int> sum{0};
  for (int i = 0; i < 500; ++i) {
    Add([](void* argument) { return ++*static_cast<std::atomic<int>*>(argument); }, &sum);
  }
  const std::vector<Operation*> done = Await(500);
  EXPECT_EQ(sum, 500);
  std::set<int32_t> results;
  for (Operation* operation : done) results.insert(operation->result());
  EXPECT_EQ(results.size(), 500u) << "a result was lost or doubled";
}

TEST_F(WorkPoolTest, GivesBackOnlyWhatHasNotBegun) {
  Start(1);
  struct Gate {
    absl::Notification running;
    absl::Notification open;
  } gate;
  Operation& blocker = Add(
      [](void* argument) {
        static_cast<Gate*>(argument)->running.Notify();
        static_cast<Gate*>(argument)->open.WaitForNotification();
        return 1;
      },
      &gate);
  gate.running.WaitForNotification();
  Operation& waiting = Add([](void*) { return 2; }, nullptr);
  EXPECT_FALSE(pool_.TryRemove(blocker));
  EXPECT_TRUE(pool_.TryRemove(waiting));
  gate.open.Notify();
  EXPECT_EQ(Await(1), std::vector<Operation*>({&blocker}));
  IntrusiveList<Operation> nothing;
  pool_.TakeDone(nothing);
  EXPECT_TRUE(nothing.empty());
}

TEST_F(WorkPoolTest, ItsThreadsTakeNoSignals) {
  Start(1);
  Operation& operation = Add(
      [](void*) {
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        return sigismember(&blocked, SIGTERM);
      },
      nullptr);
  Await(1);
  EXPECT_EQ(operation.result(), 1);
}

TEST(WorkPoolStartTest, WithoutMemoryNoThreadStarts) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  fault.FailNth(1);
  WorkPool pool;
  const absl::Status status = pool.Start(
      fault, 2, &PerformBlocking, [](void*) {}, nullptr);
  EXPECT_EQ(status, absl::Status(absl::StatusCode::kResourceExhausted, ""));
}

}  // namespace
}  // namespace tenon
