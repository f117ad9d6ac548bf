// An application's io_context with loops over it, for tests.

#ifndef TENON_BACKENDS_ASIO_CONTEXT_FIXTURE_H_
#define TENON_BACKENDS_ASIO_CONTEXT_FIXTURE_H_

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/loop_driver.h"
#include "tenon/core/loop/loop.h"

namespace tenon::asio {

// An operation that counts its final completions.
class CountedOperation : public Operation {
 public:
  CountedOperation() : Operation(&OnComplete) {}

  int completions = 0;
  int32_t last_result = 0;

 private:
  static void OnComplete(Operation& operation) {
    auto& self = static_cast<CountedOperation&>(operation);
    ++self.completions;
    self.last_result = operation.result();
  }
};

// A context, a loop over it, and a connected pair of sockets of which the loop has one.
class ContextTest : public testing::Test {
 protected:
  void SetUp() override {
    context_.emplace();
    loop_ = MakeLoop();
    int sockets[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    peer_ = UniqueFd(sockets[1]);
    absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(sockets[0]));
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *handle;
  }

  Owned<Loop> MakeLoop() {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(ContextFactory(*context_), {}, allocator_);
    if (loop.ok()) return *std::move(loop);
    ADD_FAILURE() << loop.status();
    return nullptr;
  }

  Owned<LoopDriver> MakeDriver(Loop& loop) {
    absl::StatusOr<Owned<LoopDriver>> driver = LoopDriver::Create(*context_, loop);
    if (driver.ok()) return *std::move(driver);
    ADD_FAILURE() << driver.status();
    return nullptr;
  }

  // Submits a Recv on the loop's socket.
  void BeginRecv(CountedOperation& recv) {
    recv.PrepareRecv(handle_, absl::MakeSpan(buffer_), 0);
    loop_->Submit(recv);
  }

  // Destroyed in the reverse order: a driver that a test makes before its loop, which goes first.
  alloc::SystemAllocator allocator_;
  std::optional<boost::asio::io_context> context_;
  char buffer_[64] = {};
  CountedOperation recv_;
  Owned<Loop> loop_;
  UniqueFd peer_;
  Handle handle_;
};

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_CONTEXT_FIXTURE_H_
