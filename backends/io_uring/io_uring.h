// The io_uring(7) backend: Linux 6.1 or newer, where the host allows it.

#ifndef TENON_BACKENDS_IO_URING_IO_URING_H_
#define TENON_BACKENDS_IO_URING_IO_URING_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::io_uring {

// The factory of backend "io_uring". It needs two descriptors a loop, io_uring_setup(2) and
// eventfd(2). Many containers refuse the first; Probe says whether and by whom.
const LoopBackendFactory& Factory();

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_IO_URING_H_
