// One operation of a script: its parameters and memory, and what its callbacks saw.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_OPERATION_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_OPERATION_H_

#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/conformance/differential/history.h"
#include "tenon/conformance/differential/script.h"
#include "tenon/conformance/differential/touches.h"
#include "tenon/conformance/differential/world.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"

namespace tenon::conformance::differential {

// An Operation with everything that it points to.
//
// Ownership: the executor's; borrows the world and its ends.
// Threads: the loop's.
class ScriptOperation : public Operation {
 public:
  ScriptOperation(const Step& step, World& world, Callback callback, void* context);

  // Says what is to be done; again after each completion of an operation that is repeated. Timers
  // count from `now_ns`.
  void Prepare(int64_t now_ns);

  const Step& step() const { return step_; }
  int64_t name() const { return step_.arguments[0]; }
  Verb verb() const { return step_.verb; }
  // The end that it is about; null for none, and for a stale handle.
  End* end() const { return end_; }
  // That which it splices into or connects to.
  End* second() const { return second_; }
  const std::vector<Touch>& touches() const { return touches_; }

  // See Completion::lane.
  std::string Lane() const;

  // What a callback saw. Takes a lent buffer's bytes, and gives the buffer back to `loop`. Keeps
  // count of what has moved, in the ends.
  Completion Take(Loop& loop);

  // Whether its callback is to submit it again after this result.
  bool GoesOn(int32_t result);

  // One sentence if its buffer was written to beyond its end, or since its last completion; else
  // empty.
  std::string BufferDamage() const;

  // For the executor.
  bool pending = false;
  // Submitted since the loop last turned.
  bool recent = false;
  bool cancelled = false;
  bool raced = false;
  int finals = 0;
  // Connections that an Accept made.
  int accepted = 0;
  // The order in which operations were last submitted.
  uint64_t sequence = 0;
  // A pump whose other end is to be read.
  bool pumps = false;
  // What was read there in this phase, and what an operation delivered in all.
  std::string pumped;
  std::string delivered;

 private:
  void PrepareOnHandle();
  void PreparePath();
  void PrepareMessage();
  Handle FirstHandle() const;
  // What a completion says besides its result.
  std::string Content();
  void Count(int32_t result);
  std::string StatusText() const;

  const Step step_;
  World& world_;
  End* const end_;
  End* const second_;
  const Handle handle_;
  const Handle second_handle_;
  const std::vector<Touch> touches_;
  int64_t again_ = 0;
  uint64_t moved_ = 0;
  std::vector<char> buffer_;
  std::vector<char> after_completion_;
  iovec part_ = {};
  msghdr message_ = {};
  struct statx status_ = {};
  sockaddr_in address_ = {};
  int32_t work_result_ = 0;
};

// Whether an operation of this step is able to complete by the state of its descriptors, asked of
// the kernel by poll(2), or without one. REQUIRES: it is the first of its lane.
bool AbleToComplete(const ScriptOperation& operation, const World& world);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_OPERATION_H_
