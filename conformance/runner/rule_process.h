// The child process that runs one rule: the side of the one who started it.

#ifndef TENON_CONFORMANCE_RUNNER_RULE_PROCESS_H_
#define TENON_CONFORMANCE_RUNNER_RULE_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tenon/conformance/runner/rule_child.h"
#include "tenon/conformance/runner/verdict.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {

// A running child, in a process group of its own, with a temporary directory of its own.
//
// Ownership: destruction kills the group and removes the directory.
// Threads: that which started it, which must live as long: the child dies with it.
class RuleProcess {
 public:
  using Clock = std::chrono::steady_clock;

  // Runs this program again for `request`, whose temporary_directory is ignored.
  static absl::StatusOr<std::unique_ptr<RuleProcess>> Start(ChildRequest request,
                                                            std::chrono::seconds timeout);
  ~RuleProcess();
  RuleProcess(const RuleProcess&) = delete;
  RuleProcess& operator=(const RuleProcess&) = delete;

  // Descriptors to poll for input; -1 once at its end. The process descriptor becomes readable when
  // the child has ended.
  int report_fd() const { return report_.get(); }
  int output_fd() const { return output_.get(); }
  int process_fd() const { return process_.get(); }

  // Reads what is there. Does not wait.
  void Read();

  // When CheckDeadline wants to be called next.
  Clock::time_point deadline() const { return deadline_; }
  // Past the deadline asks the child for its stack, and shortly afterwards kills the group.
  void CheckDeadline();

  // Whether the child has ended; the group has then been killed and the rest read.
  bool Finished();

  int64_t milliseconds() const;
  const ChildEvidence& evidence() const { return evidence_; }

 private:
  RuleProcess(std::string directory, std::chrono::seconds timeout);

  absl::Status Spawn(const ChildRequest& request);
  void Kill();

  const std::string directory_;
  const std::chrono::seconds timeout_;
  const Clock::time_point started_;
  Clock::time_point deadline_;
  Clock::time_point ended_;
  pid_t pid_ = -1;
  UniqueFd report_;
  UniqueFd output_;
  UniqueFd process_;
  ChildEvidence evidence_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_RULE_PROCESS_H_
