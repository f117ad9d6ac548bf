// in_asio: a Tenon loop inside an io_context that the application runs.
//
// Exit status: 0 when both have done their work, 1 otherwise.

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/buffer.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/udp.hpp"
#include "boost/asio/steady_timer.hpp"
#include "guest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/loop_driver.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/task/run.h"
#include "tenon/runtime/open_loop.h"

ABSL_FLAG(std::string, backend, "auto",
          "loop backend: one that is linked, auto, or asio for the application's io_context");

namespace {

using boost::asio::ip::udp;

// The application's own part: a timer, at each tick of which a datagram is sent to a socket of its
// own.
class Host {
 public:
  static constexpr int kTicks = 5;

  explicit Host(boost::asio::io_context& context)
      : timer_(context), socket_(context, {boost::asio::ip::address_v4::loopback(), 0}) {
    AwaitTick();
    AwaitDatagram();
  }

  bool done() const { return datagrams_ >= kTicks; }
  int ticks() const { return ticks_; }
  int datagrams() const { return datagrams_; }

 private:
  void AwaitTick() {
    timer_.expires_after(std::chrono::milliseconds(2));
    timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      ++ticks_;
      socket_.send_to(boost::asio::buffer("x", 1), self_, 0, error);
      AwaitTick();
    });
  }
  void AwaitDatagram() {
    socket_.async_receive(boost::asio::buffer(&byte_, 1),
                          [this](boost::system::error_code error, size_t) {
                            if (error) return;
                            ++datagrams_;
                            AwaitDatagram();
                          });
  }

  boost::asio::steady_timer timer_;
  udp::socket socket_;
  const udp::endpoint self_ = socket_.local_endpoint();
  char byte_ = 0;
  int ticks_ = 0;
  int datagrams_ = 0;
};

// A loop of any linked backend, which has descriptors of its own; or one that waits in the
// application's context itself.
absl::StatusOr<tenon::Owned<tenon::Loop>> OpenLoop(boost::asio::io_context& context,
                                                   const std::string& backend,
                                                   tenon::Allocator& allocator) {
  if (backend != "asio") {
    return tenon::runtime::OpenLoop({.backend = backend, .allocator = &allocator});
  }
  return tenon::Loop::Create(tenon::asio::ContextFactory(context), {}, allocator);
}

absl::Status Run() {
  tenon::alloc::SystemAllocator allocator;
  boost::asio::io_context context;
  Host host(context);
  auto loop = OpenLoop(context, absl::GetFlag(FLAGS_backend), allocator);
  if (!loop.ok()) return loop.status();

  // This is all: as long as there is a driver, running the context runs the loop.
  auto driver = tenon::asio::LoopDriver::Create(context, **loop);
  if (!driver.ok()) return driver.status();
  tenon::TaskRoot<absl::StatusOr<std::string>> guest(**loop, Guest(**loop));
  guest.Start();
  while (!host.done() || !guest.done()) context.run_one();

  absl::StatusOr<std::string> summary = guest.TakeResult();
  if (!summary.ok()) return summary.status();
  std::cout << "host: " << host.ticks() << " timers, " << host.datagrams() << " datagrams\n"
            << *summary << "\n";
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("runs a Tenon loop inside an io_context");
  absl::ParseCommandLine(argc, argv);
  absl::Status status;
  try {
    status = Run();
  } catch (const std::exception& exception) {
    status = absl::InternalError(exception.what());
  }
  if (status.ok()) return 0;
  std::cerr << "in_asio: " << status << "\n";
  return 1;
}
