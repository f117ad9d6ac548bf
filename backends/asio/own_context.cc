#include "tenon/backends/asio/own_context.h"

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "boost/asio/config.hpp"
#include "boost/asio/detail/concurrency_hint.hpp"
#include "boost/asio/execution_context.hpp"
#include "boost/system/system_error.hpp"
#include "tenon/core/loop/os_error.h"

namespace tenon::asio {
namespace {

// Gives a context the service that configures it without locks. An exception from here would leak
// what the context has by then (boost::asio::execution_context's constructor), so there is none.
class ConfigureWithoutLocks final : public boost::asio::execution_context::service_maker {
 public:
  void make(boost::asio::execution_context& context) const override {
    try {
      boost::asio::config_from_concurrency_hint(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE).make(context);
    } catch (const std::bad_alloc&) {
      failed_ = true;
    }
  }
  bool failed() const { return failed_; }

 private:
  mutable bool failed_ = false;
};

}  // namespace

absl::Status MakeOwnContext(std::optional<boost::asio::io_context>& context) noexcept {
  const ConfigureWithoutLocks configuration;
  try {
    context.emplace(configuration);
  } catch (...) {
    return StatusOfException();
  }
  if (!configuration.failed()) return absl::OkStatus();
  context.reset();
  return OutOfMemory();
}

absl::Status StatusOfException() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return OutOfMemory();
    } catch (const boost::system::system_error& error) {
      // "epoll: Too many open files [system:24 at ...]": what Asio was about to make comes first.
      const absl::string_view text = error.what();
      return OsError(error.code().value(),
                     absl::StrCat("io_context, ", text.substr(0, text.find(':'))));
    } catch (const std::exception& error) {
      return StatusOf(absl::StatusCode::kInternal, "io_context: ", error.what());
    }
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

}  // namespace tenon::asio
