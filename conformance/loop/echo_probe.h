// One exchange over a socket pair: whether a loop still works.

#ifndef TENON_CONFORMANCE_LOOP_ECHO_PROBE_H_
#define TENON_CONFORMANCE_LOOP_ECHO_PROBE_H_

#include <array>
#include <string_view>

#include "absl/status/status.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {

// A handle of a loop whose other end is a plain socket. Declare it before the loop.
class EchoProbe {
 public:
  EchoProbe() = default;
  EchoProbe(const EchoProbe&) = delete;
  EchoProbe& operator=(const EchoProbe&) = delete;

  // Makes the pair and adopts one end: a failure of the rule when that is refused.
  void Adopt(Loop& loop);
  // The same, where a refusal is what the rule is about.
  absl::Status TryAdopt(Loop& loop);

  // Submits a Recv, which stays pending until ExpectWorks.
  void BeginRecv(Loop& loop);

  // Sends a message each way, theirs when a Recv is waiting for it: a failure of the rule, which
  // says `when`, unless both arrive. REQUIRES: Adopt. After BeginRecv that Recv is the one.
  void ExpectWorks(Loop& loop, std::string_view when);

  Handle handle() const { return handle_; }
  // The end that was given to Adopt, by its number, and the other one.
  int ours() const { return ours_; }
  int theirs() const { return theirs_.get(); }

 private:
  Handle handle_;
  int ours_ = -1;
  UniqueFd theirs_;
  std::array<char, 64> buffer_ = {};
  RecordingOperation recv_;
  RecordingOperation send_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_ECHO_PROBE_H_
