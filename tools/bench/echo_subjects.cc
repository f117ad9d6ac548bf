// The table of echo servers. A further one is a line here and a file of its own.

#include "tenon/tools/bench/echo_subjects.h"

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::bench {
namespace {

constexpr EchoSubject kSubjects[] = {
    {"raw-epoll", "epoll, written by hand", false, nullptr, nullptr, &ServeRawEpoll},
    {"libuv", "libuv streams", false, "libuv", &LibuvVersion, &ServeLibuv},
    {"raw-asio", "Boost.Asio callbacks", false, "asio", &AsioVersion, &ServeAsio},
};

}  // namespace

absl::Span<const EchoSubject> EchoSubjects() { return kSubjects; }

std::vector<absl::string_view> EchoSubjectNames() {
  std::vector<absl::string_view> names;
  for (const EchoSubject& subject : kSubjects) names.push_back(subject.name);
  return names;
}

}  // namespace tenon::bench
