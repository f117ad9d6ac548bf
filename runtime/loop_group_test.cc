#include "tenon/runtime/loop_group.h"

#include <sched.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::runtime {
namespace {

using ::testing::HasSubstr;

TEST(LoopGroupTest, HasOneLoopForEachProcessorOnThatProcessor) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group = LoopGroup::Start({});
  ASSERT_TRUE(group.ok()) << group.status();
  cpu_set_t usable;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(usable), &usable), 0);
  ASSERT_EQ((*group)->size(), static_cast<uint32_t>(CPU_COUNT(&usable)));
  for (uint32_t i = 0; i < (*group)->size(); ++i) {
    struct Seen {
      cpu_set_t processors;
      absl::Notification done;
    } seen;
    PostedTask task(
        [](PostedTask& posted) {
          auto& out = *static_cast<Seen*>(posted.context());
          ::sched_getaffinity(0, sizeof(out.processors), &out.processors);
          out.done.Notify();
        },
        &seen);
    ASSERT_TRUE((*group)->Post(i, task));
    seen.done.WaitForNotification();
    EXPECT_EQ(CPU_COUNT(&seen.processors), 1) << "loop " << i << " is not pinned";
  }
  EXPECT_TRUE((*group)->Drain().ok());
}

TEST(LoopGroupTest, EachLoopHasAnAllocatorOfItsOwn) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group =
      LoopGroup::Start({.allocator_spec = "system", .loops = 2, .pin = false});
  ASSERT_TRUE(group.ok()) << group.status();
  const absl::StatusOr<SocketAddress> any_port = SocketAddress::Parse("127.0.0.1", 0);
  ASSERT_TRUE(any_port.ok());
  Allocator* seen[2] = {};
  const auto on_listener = [](Loop& loop, Handle, uint32_t index, void* context) {
    static_cast<Allocator**>(context)[index] = &loop.allocator();
  };
  ASSERT_TRUE((*group)->Listen(*any_port, {}, on_listener, seen).ok());
  EXPECT_NE(seen[0], nullptr);
  EXPECT_NE(seen[1], nullptr);
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_TRUE((*group)->Drain().ok());
}

TEST(LoopGroupTest, AnAllocatorThatCannotBeMadeIsNamedWithTheLoop) {
  const auto group = LoopGroup::Start({.allocator_spec = "sistem", .loops = 2, .pin = false});
  ASSERT_FALSE(group.ok());
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("loop 0: allocator spec"));
}

TEST(LoopGroupTest, PostsBetweenLoopsArrive) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group = LoopGroup::Start({.loops = 2, .pin = false});
  ASSERT_TRUE(group.ok()) << group.status();
  struct Relay {
    LoopGroup* group = nullptr;
    int hops = 0;
    absl::Notification done;
    PostedTask task{[](PostedTask& posted) {
                      auto& relay = *static_cast<Relay*>(posted.context());
                      if (++relay.hops == 1000) return relay.done.Notify();
                      relay.group->Post(static_cast<uint32_t>(relay.hops % 2), relay.task);
                    },
                    this};
  } relay;
  relay.group = group->get();
  ASSERT_TRUE((*group)->Post(0, relay.task));
  relay.done.WaitForNotification();
  EXPECT_TRUE((*group)->Drain().ok());
  EXPECT_EQ(relay.hops, 1000);
}

// Counts the connections that one loop accepts.
struct Counter {
  Operation accept{[](Operation& operation) {
                     if (operation.result() < 0) return;
                     UniqueFd connection(operation.result());
                     auto& counter = *static_cast<Counter*>(operation.context());
                     counter.total->DecrementCount();
                   },
                   this};
  absl::BlockingCounter* total = nullptr;
};

TEST(LoopGroupTest, ListenersShareOnePort) {
  constexpr int kConnections = 64;
  absl::StatusOr<std::unique_ptr<LoopGroup>> group = LoopGroup::Start({.loops = 2, .pin = false});
  ASSERT_TRUE(group.ok()) << group.status();
  absl::BlockingCounter total(kConnections);
  Counter counters[2];
  for (Counter& counter : counters) counter.total = &total;
  const auto on_listener = [](Loop& loop, Handle listener, uint32_t index, void* context) {
    Operation& accept = static_cast<Counter*>(context)[index].accept;
    accept.PrepareAcceptMultishot(listener);
    loop.Submit(accept);
  };
  const absl::StatusOr<SocketAddress> address =
      (*group)->Listen(SocketAddress::Parse("127.0.0.1", 0).value(), {}, on_listener, counters);
  ASSERT_TRUE(address.ok()) << address.status();
  ASSERT_NE(address->port(), 0);
  for (int i = 0; i < kConnections; ++i) {
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client.get(), address->data(), address->size()), 0);
  }
  total.Wait();
  EXPECT_TRUE((*group)->Drain().ok());
}

TEST(LoopGroupTest, AFailureNamesTheLoopAndLeavesNoThread) {
  const absl::StatusOr<std::unique_ptr<LoopGroup>> group =
      LoopGroup::Start({.backend = "no_such_backend", .loops = 3});
  ASSERT_FALSE(group.ok());
  EXPECT_EQ(group.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("loop 0: "));
  EXPECT_FALSE(LoopGroup::Start({.loops = 5000}).ok());
}

TEST(LoopGroupTest, ADrainThatRanOutOfTimeCanBeRepeated) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group = LoopGroup::Start({.loops = 1, .pin = false});
  ASSERT_TRUE(group.ok()) << group.status();
  static std::atomic<bool> release{false};
  release = false;
  struct Stuck {
    Loop* loop = nullptr;
    absl::Notification running;
    Operation work{[](Operation&) {}};
  } stuck;
  const auto on_listener = [](Loop& loop, Handle, uint32_t, void* context) {
    auto& out = *static_cast<Stuck*>(context);
    out.work.PrepareWork(
        [](void* argument) {
          static_cast<Stuck*>(argument)->running.Notify();
          while (!release.load()) std::this_thread::yield();
          return 0;
        },
        context);
    loop.Submit(out.work);
  };
  ASSERT_TRUE(
      (*group)->Listen(SocketAddress::Parse("127.0.0.1", 0).value(), {}, on_listener, &stuck).ok());
  stuck.running.WaitForNotification();
  const absl::Status late = (*group)->Drain(kMillisecondNs);
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded) << late;
  EXPECT_THAT(std::string(late.message()), HasSubstr("Work x 1"));
  release = true;
  EXPECT_TRUE((*group)->Drain().ok());
}

}  // namespace
}  // namespace tenon::runtime
