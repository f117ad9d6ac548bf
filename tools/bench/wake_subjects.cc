#include "tenon/tools/bench/wake_subjects.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

std::vector<WakeSubject> WakeSubjects() {
  std::vector<WakeSubject> subjects;
  for (Subject& ours : TenonSubjects("Loop::Post")) {
    const std::string backend = ours.name;
    subjects.push_back({std::move(ours), [backend](size_t messages, MessageHandler& handler) {
                          return MakeTenonMessageLoop(backend, messages, handler);
                        }});
  }
  subjects.push_back(
      {Libuv("functions in a queue under a mutex, uv_async_send"), &MakeLibuvMessageLoop});
  subjects.push_back({PlainAsio("asio::post"), &MakeAsioMessageLoop});
  return subjects;
}

}  // namespace tenon::bench
