#include "tenon/backends/asio/application_context.h"

#include "absl/base/no_destructor.h"
#include "absl/log/check.h"
#include "boost/asio/io_context.hpp"
#include "tenon/backends/asio/asio.h"

namespace tenon::asio {
namespace {

struct Application {
  Application() : factory(context) {
    const absl::Status usable = factory.Probe();
    CHECK(usable.ok()) << usable;
  }

  boost::asio::io_context context;
  const ContextFactory factory;
};

}  // namespace

const LoopBackendFactory& ApplicationContextFactory() {
  static absl::NoDestructor<Application> application;
  return application->factory;
}

}  // namespace tenon::asio
