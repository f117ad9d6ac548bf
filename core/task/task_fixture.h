// What the tests of tasks share: a loop over epoll with memory that is counted and can fail.

#ifndef TENON_CORE_TASK_TASK_FIXTURE_H_
#define TENON_CORE_TASK_TASK_FIXTURE_H_

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/log/check.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/epoll/epoll.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task.h"

namespace tenon {

// Counts what is live, with the sizes that are given back.
class CountingAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    const Block block = system_.Allocate(layout);
    if (block.ptr != nullptr) {
      stats_.live_bytes += layout.size;
      ++stats_.live_blocks;
      ++stats_.total_blocks;
    }
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) {
      CHECK_GE(stats_.live_bytes, layout.size);
      stats_.live_bytes -= layout.size;
      --stats_.live_blocks;
    }
    system_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return stats_; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  alloc::SystemAllocator system_;
  AllocatorStats stats_;
};

// Two ends of a stream that the loop has adopted, or one end and a raw one.
struct HandlePair {
  Handle first;
  Handle second;
};
struct HandleAndFd {
  Handle handle;
  UniqueFd fd;
};

class TaskTest : public testing::Test {
 public:
  // Where coroutines that take the test get their frames from.
  Allocator& allocator() { return fault_; }
  Loop& loop() { return *loop_; }

  // Turns until the root is done.
  template <typename T>
  void Finish(const TaskRoot<T>& root) {
    while (!root.done()) loop_->RunOnce();
  }

  Handle Adopt(UniqueFd fd) {
    absl::StatusOr<Handle> handle = loop_->Adopt(std::move(fd));
    CHECK_OK(handle.status());
    return *handle;
  }

  // A stream socket of the loop and the other end of it.
  HandleAndFd MakeSocket() {
    int fds[2];
    CHECK_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    UniqueFd other(fds[1]);
    return {Adopt(UniqueFd(fds[0])), std::move(other)};
  }
  HandlePair MakeSocketPair() {
    HandleAndFd pair = MakeSocket();
    return {pair.handle, Adopt(std::move(pair.fd))};
  }
  // A listener on a free port of the loopback interface, and its address.
  Handle MakeListener(sockaddr_storage* address, socklen_t* length, int backlog = 64) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any_port = {};
    any_port.sin_family = AF_INET;
    any_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&any_port), sizeof(any_port)), 0);
    CHECK_EQ(::listen(fd.get(), backlog), 0);
    *length = sizeof(*address);
    CHECK_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(address), length), 0);
    return Adopt(std::move(fd));
  }
  HandlePair MakePipe() {
    int fds[2];
    CHECK_EQ(::pipe2(fds, O_CLOEXEC), 0);
    UniqueFd write_end(fds[1]);
    const Handle read_end = Adopt(UniqueFd(fds[0]));
    return {read_end, Adopt(std::move(write_end))};
  }

 protected:
  TaskTest() {
    // A loop is of no use in a forked child (INIT-7): death tests begin anew.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(epoll::Factory(), {}, fault_);
    CHECK_OK(loop.status());
    loop_ = *std::move(loop);
    loop_bytes_ = counting_.Stats().live_bytes;
  }
  ~TaskTest() override {
    fault_.Clear();
    EXPECT_EQ(frame_bytes(), 0u) << "frames are live at the end of the test";
    EXPECT_EQ(loop_->Drain(), absl::OkStatus());
    loop_ = nullptr;
    EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  }

  // Bytes of coroutine frames that are live: nothing else allocates after Create (INIT-9).
  uint64_t frame_bytes() const { return counting_.Stats().live_bytes - loop_bytes_; }
  uint64_t frames_made() const { return counting_.Stats().total_blocks; }

  CountingAllocator counting_;
  alloc::FaultAllocator fault_{counting_};
  Owned<Loop> loop_;
  uint64_t loop_bytes_ = 0;
};

}  // namespace tenon

#endif  // TENON_CORE_TASK_TASK_FIXTURE_H_
