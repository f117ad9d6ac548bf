// The table of echo servers. A further one is a line here and a file of its own.

#include "tenon/tools/bench/echo_subjects.h"

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::bench {
namespace {

constexpr EchoSubject kSubjects[] = {
    {.name = "epoll",
     .description = "Tenon coroutines on its epoll backend",
     .ours = true,
     .probe = &ProbeTenonEpoll,
     .serve = &ServeTenonEpoll},
    {.name = "raw-epoll", .description = "epoll, written by hand", .serve = &ServeRawEpoll},
    {.name = "libuv",
     .description = "libuv streams",
     .library = "libuv",
     .version = &LibuvVersion,
     .serve = &ServeLibuv},
    {.name = "raw-asio",
     .description = "Boost.Asio callbacks",
     .library = "asio",
     .version = &AsioVersion,
     .serve = &ServeAsio},
};

}  // namespace

absl::Span<const EchoSubject> EchoSubjects() { return kSubjects; }

std::vector<absl::string_view> EchoSubjectNames() {
  std::vector<absl::string_view> names;
  for (const EchoSubject& subject : kSubjects) names.push_back(subject.name);
  return names;
}

}  // namespace tenon::bench
