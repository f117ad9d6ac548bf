// An operation of every kind, each brought to where it stays until somebody gives it up.

#ifndef TENON_CONFORMANCE_LOOP_PENDING_OPERATIONS_H_
#define TENON_CONFORMANCE_LOOP_PENDING_OPERATIONS_H_

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/opcode.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {

// One operation that waits, with everything it refers to.
struct PendingOperation {
  // "Recv", "Recv, multishot", "Work, begun".
  std::string name;
  RecordingOperation operation;
  // The handle it is on, or a stale one.
  Handle handle;
  // Whether something else than -ECANCELED may be its result: it was ready, cannot be interrupted,
  // or is one that the backend finishes when it likes.
  bool may_finish = false;
  // What that result then is.
  int32_t finished_result = 0;

  // The far ends of its descriptors.
  std::vector<UniqueFd> others;
  std::unique_ptr<Listener> listener;
  std::string path;
  std::string to_path;
  std::array<char, 64> buffer = {};
  iovec vector = {};
  msghdr message = {};
  struct statx status = {};
};

// The operations of one loop that wait for what never comes: bytes from silent peers, room in full
// pipes, a place in a full backlog, a thread that is busy.
//
// Declare it before its loop; see RecordingOperation. The one blocking thread is kept busy until
// the loop completes anything in a Drain, so that Drain can end.
class PendingOperations {
 public:
  explicit PendingOperations(LoopRule& rule);
  ~PendingOperations();
  PendingOperations(const PendingOperations&) = delete;
  PendingOperations& operator=(const PendingOperations&) = delete;

  // What the loop must be made with: a single blocking thread.
  static LoopOptions Options();
  static std::vector<Opcode> EveryOpcode();

  // Submits operations of `opcodes`, in all their variants, and turns `loop` until each waits where
  // it is going to wait. A failure of the rule, when one does not.
  void Submit(Loop& loop, absl::Span<const Opcode> opcodes);

  absl::Span<const std::unique_ptr<PendingOperation>> operations() const { return operations_; }

  // After a failure: cancels whatever still waits and turns until it is gone, so that the loop can
  // be destroyed.
  void GiveUp(Loop& loop);

 private:
  // When an operation is submitted.
  enum class Stage {
    kEarly,   // then turned until the backend has it
    kAtWork,  // when the blocking thread is busy
    kClose,   // behind something that the backend has; no turn follows
    kLast,    // no turn follows, as it completes in the next
  };

  PendingOperation& New(std::string name);
  // Adopts `pair.ours` for an operation; keeps the other end.
  Handle Adopt(Loop& loop, PendingOperation& pending, DescriptorPair pair);
  Handle AdoptFile(Loop& loop, PendingOperation& pending);
  Stage StageOf(Opcode opcode) const;
  void Start(Loop& loop, Opcode opcode);
  void StartOnSocket(Loop& loop, Opcode opcode);
  void StartConnect(Loop& loop);
  void StartMessage(Loop& loop, Opcode opcode);
  void StartShutdown(Loop& loop);
  void StartOnPipe(Loop& loop, Opcode opcode);
  void StartOnPath(Loop& loop, Opcode opcode);
  void StartOnFile(Loop& loop, Opcode opcode);
  void StartClose(Loop& loop);
  void StartWork(Loop& loop);
  void KeepThreadBusy(Loop& loop);
  void StartMultishot(Loop& loop, Opcode opcode);
  void ExpectAllPending() const;

  static int32_t BlockUntilReleased(void* pipes);

  LoopRule& rule_;
  std::vector<std::unique_ptr<PendingOperation>> operations_;
  // The thread says in one pipe that it is busy, and waits in the other.
  DescriptorPair busy_;
  DescriptorPair release_;
  // Its completion, which is a cancellation, lets the thread go.
  RecordingOperation release_timer_;
  bool buffers_registered_ = false;
  int files_ = 0;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_PENDING_OPERATIONS_H_
