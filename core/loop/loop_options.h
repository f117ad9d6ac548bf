// What a loop is created with. Every bound that a loop keeps is stated here.

#ifndef TENON_CORE_LOOP_LOOP_OPTIONS_H_
#define TENON_CORE_LOOP_LOOP_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/time.h"

namespace tenon {

struct LoopOptions {
  // Descriptors that may be adopted at once, 1 to 1,048,576. Adopt beyond it is ResourceExhausted.
  // Memory is reserved for all of them, and touched as they are used.
  uint32_t max_handles = 16'384;

  // Operations that the backend takes on in one go, 1 to 32,768: the submission queue of io_uring,
  // the operations attempted between two waits elsewhere. More are kept back by the loop, in
  // order, without bound and without memory (SUB-2).
  uint32_t queue_depth = 1'024;

  // Threads for Work, and for file operations where the backend has none of its own, 1 to 256.
  // They start in Create and end in Drain. Work beyond that many waits, in order.
  uint32_t work_threads = 2;

  // Time for which Accept is held back after one met a limit of descriptors (HDL-6).
  int64_t accept_backoff_ns = 10 * kMillisecondNs;

  // OK, or InvalidArgument naming the field, its value and its range.
  absl::Status Validate() const;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_LOOP_OPTIONS_H_
