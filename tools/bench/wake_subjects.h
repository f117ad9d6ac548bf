// What lets one thread hand work to the loop of another, as a table.

#ifndef TENON_TOOLS_BENCH_WAKE_SUBJECTS_H_
#define TENON_TOOLS_BENCH_WAKE_SUBJECTS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {

// Told of each message, on the loop's thread. Messages are numbered.
class MessageHandler {
 public:
  virtual void OnMessage(size_t message) = 0;

 protected:
  ~MessageHandler() = default;
};

// A loop that other threads hand messages to.
//
// Threads: that which makes it runs it and destroys it; Post and Stop may be called from any until
//   Run returns.
class MessageLoop {
 public:
  virtual ~MessageLoop() = default;

  // Has the handler told of a message, once. A message is not posted again before it was told of.
  virtual void Post(size_t message) = 0;
  // Tells the handler of what is posted, until Stop.
  virtual void Run() = 0;
  // Makes Run return soon. Messages posted before are told of, or not.
  virtual void Stop() = 0;
};

struct WakeSubject {
  Subject subject;
  // A loop for up to `messages` of them at a time. The handler outlives it.
  std::function<absl::StatusOr<std::unique_ptr<MessageLoop>>(size_t messages,
                                                             MessageHandler& handler)>
      make;
};

// All subjects, ours first.
std::vector<WakeSubject> WakeSubjects();

absl::StatusOr<std::unique_ptr<MessageLoop>> MakeTenonMessageLoop(absl::string_view backend,
                                                                  size_t messages,
                                                                  MessageHandler& handler);
absl::StatusOr<std::unique_ptr<MessageLoop>> MakeLibuvMessageLoop(size_t messages,
                                                                  MessageHandler& handler);
absl::StatusOr<std::unique_ptr<MessageLoop>> MakeAsioMessageLoop(size_t messages,
                                                                 MessageHandler& handler);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_WAKE_SUBJECTS_H_
