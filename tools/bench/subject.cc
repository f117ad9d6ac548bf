#include "tenon/tools/bench/subject.h"

#include <cerrno>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "boost/asio/version.hpp"
#include "liburing.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/tools/bench/raw_ring.h"
#include "uv.h"

namespace tenon::bench {

absl::Status Probe(const Subject& subject) {
  return subject.probe ? subject.probe() : absl::OkStatus();
}

std::vector<Subject> TenonSubjects(absl::string_view description) {
  std::vector<Subject> subjects;
  for (const LoopBackendFactory* factory : runtime::LinkedBackends()) {
    subjects.push_back({.name = std::string(factory->name()),
                        .description = absl::StrCat("Tenon, ", description, ", on its ",
                                                    factory->name(), " backend"),
                        .ours = true,
                        .probe = [factory] { return factory->Probe(); }});
  }
  return subjects;
}

Subject Handwritten(absl::string_view name, absl::string_view description) {
  return {.name = std::string(name),
          .description = absl::StrCat(description, ", written by hand"),
          .ours = false};
}

Subject HandwrittenIoUring(absl::string_view description) {
  return {.name = "raw-io_uring",
          .description = absl::StrCat("io_uring, written by hand: ", description),
          .ours = false,
          .library = "liburing",
          .version = absl::StrCat(IO_URING_VERSION_MAJOR, ".", IO_URING_VERSION_MINOR),
          .probe = &RawRing::Probe};
}

Subject Libuv(absl::string_view description) {
  return {.name = "libuv",
          .description = absl::StrCat("libuv: ", description),
          .ours = false,
          .library = "libuv",
          .version = uv_version_string()};
}

Subject PlainAsio(absl::string_view description) {
  return {.name = "raw-asio",
          .description = absl::StrCat("Boost.Asio: ", description),
          .ours = false,
          .library = "asio",
          .version = absl::StrCat(BOOST_ASIO_VERSION / 100000, ".", BOOST_ASIO_VERSION / 100 % 1000,
                                  ".", BOOST_ASIO_VERSION % 100)};
}

}  // namespace tenon::bench
