// An echo server on Boost.Asio: callbacks on an io_context of one thread.

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "boost/asio.hpp"
#include "tenon/tools/bench/echo_subjects.h"

namespace tenon::bench {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

// Deletes itself when its connection ends: exactly one handler is pending at any time, and it holds
// the only pointer.
class Connection {
 public:
  explicit Connection(tcp::socket socket) : socket_(std::move(socket)) {}

  static void Start(std::unique_ptr<Connection> connection) {
    error_code error;
    connection->socket_.set_option(tcp::no_delay(true), error);
    if (!error) connection.release()->Read();
  }

 private:
  void Read() {
    socket_.async_read_some(boost::asio::buffer(buffer_),
                            [this](const error_code& error, size_t count) {
                              if (error) {
                                delete this;
                              } else {
                                Write(count);
                              }
                            });
  }

  void Write(size_t count) {
    boost::asio::async_write(socket_, boost::asio::buffer(buffer_.data(), count),
                             [this](const error_code& error, size_t /*count*/) {
                               if (error) {
                                 delete this;
                               } else {
                                 Read();
                               }
                             });
  }

  tcp::socket socket_;
  std::array<char, kEchoBufferSize> buffer_;
};

// Accepts until an error, which it leaves in `failure`.
void AcceptNext(tcp::acceptor& acceptor, error_code& failure) {
  acceptor.async_accept([&acceptor, &failure](const error_code& error, tcp::socket socket) {
    if (error && error != boost::asio::error::connection_aborted) {
      failure = error;
      return;
    }
    if (!error) {
      Connection::Start(std::unique_ptr<Connection>(new Connection(std::move(socket))));
    }
    AcceptNext(acceptor, failure);
  });
}

}  // namespace

absl::Status ServeAsio(int listen_fd) {
  try {
    // One thread runs it: the hint lets Asio leave out what several would need, yet keeps posting
    // from others safe.
    boost::asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::v4(), listen_fd);
    error_code failure;
    AcceptNext(acceptor, failure);
    context.run();
    return absl::InternalError(absl::StrCat("accept: ", failure.message()));
  } catch (const std::exception& exception) {
    return absl::InternalError(exception.what());
  }
}

}  // namespace tenon::bench
