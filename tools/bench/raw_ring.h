// What the hand-written io_uring subjects share: a ring as its authors recommend it today.

#ifndef TENON_TOOLS_BENCH_RAW_RING_H_
#define TENON_TOOLS_BENCH_RAW_RING_H_

#include "absl/status/status.h"
#include "liburing.h"

namespace tenon::bench {

// One thread submits (SINGLE_ISSUER), completions are run when that thread asks for them
// (DEFER_TASKRUN), and a submission goes on past an entry that fails (SUBMIT_ALL); its descriptor
// is registered, so that io_uring_enter need not look it up.
//
// Ownership: owns the ring. Threads: the one that calls Init.
class RawRing {
 public:
  static constexpr unsigned kSubmissions = 1024;
  static constexpr unsigned kCompletions = 16 * 1024;

  RawRing() = default;
  ~RawRing();
  RawRing(const RawRing&) = delete;
  RawRing& operator=(const RawRing&) = delete;

  // The kernel's refusal, with the likely cause.
  absl::Status Init();

  // Whether a ring of this kind can be made here.
  static absl::Status Probe();

  // A cleared submission; what has been prepared before is submitted first if there is no room.
  io_uring_sqe* Next();

  io_uring* get() { return &ring_; }

 private:
  io_uring ring_ = {};
  bool initialised_ = false;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_RAW_RING_H_
