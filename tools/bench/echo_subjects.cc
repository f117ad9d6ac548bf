// The table of echo servers. A further one is a line here and a file of its own.

#include "tenon/tools/bench/echo_subjects.h"

#include <string>
#include <utility>
#include <vector>

#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

std::vector<EchoSubject> EchoSubjects() {
  std::vector<EchoSubject> subjects;
  for (Subject& ours : TenonSubjects("a coroutine for each connection")) {
    const std::string backend = ours.name;
    subjects.push_back(
        {std::move(ours), [backend](int listen_fd) { return ServeTenon(backend, listen_fd); }});
  }
  subjects.push_back({Handwritten("raw-epoll", "epoll, edge-triggered"), &ServeRawEpoll});
  subjects.push_back(
      {HandwrittenIoUring("multishot accept and receive, a buffer ring"), &ServeRawIoUring});
  subjects.push_back({Libuv("streams, uv_try_write"), &ServeLibuv});
  subjects.push_back({PlainAsio("async_read_some, async_write"), &ServeAsio});
  return subjects;
}

}  // namespace tenon::bench
