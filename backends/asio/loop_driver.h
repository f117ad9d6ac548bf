// A Tenon loop, on any backend, as a guest of an io_context that the application runs.

#ifndef TENON_BACKENDS_ASIO_LOOP_DRIVER_H_
#define TENON_BACKENDS_ASIO_LOOP_DRIVER_H_

#include "absl/status/statusor.h"
#include "boost/asio/io_context.hpp"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/owned.h"

namespace tenon::asio {

// Turns a loop from within io_context::run whenever it has something to do: watches Loop::PollFd in
// the context and calls Loop::Poll.
//
// The context always has work while a driver exists, so run() does not return by itself: destroy
// the driver, or stop the context.
//
// Ownership: the caller owns the driver, which lies in memory of the loop's allocator. It is
//   destroyed before the loop. The context may go before it, or after.
// Threads: the loop's thread, which runs the context.
// Reentrancy: the driver may be destroyed in a callback of the loop, the loop may not.
//
//   boost::asio::io_context context;
//   auto loop = Loop::Create(epoll::Factory(), {}, allocator);
//   auto driver = asio::LoopDriver::Create(context, **loop);
//   ... submit operations, start the application's own ...
//   context.run();
class LoopDriver {
 public:
  // Begins to drive. Fails as Loop::PollFd does (Unimplemented for the backend "asio", which has a
  // context of its own: use ContextFactory), with ResourceExhausted without a message for want of
  // memory, and with what the kernel or the context refused. A failure leaves nothing behind.
  static absl::StatusOr<Owned<LoopDriver>> Create(boost::asio::io_context& context,
                                                  Loop& loop) noexcept;

  // Ends it. Nothing of the driver remains in the context but memory for reuse.
  virtual ~LoopDriver() = default;
  LoopDriver(const LoopDriver&) = delete;
  LoopDriver& operator=(const LoopDriver&) = delete;

 protected:
  LoopDriver() = default;
};

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_LOOP_DRIVER_H_
