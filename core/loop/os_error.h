// Statuses for refusals by the operating system: what was refused, why it likely was, what to do.

#ifndef TENON_CORE_LOOP_OS_ERROR_H_
#define TENON_CORE_LOOP_OS_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tenon/core/memory/status_of.h"

namespace tenon {

// Makes a status from an errno value: the code that fits it, and a message of the form
// "RESOURCE: EMFILE (Too many open files): LIKELY CAUSE AND REMEDY". `resource` names the system
// call or the thing that was asked for, such as "epoll_create1". The likely cause and remedy are
// those of the errno; `hint` replaces them where the caller knows better.
//
// Where there is no memory for the message, the status is that of OutOfMemory(). Paths that report
// exhaustion of *memory* use that one from the start.
absl::Status OsError(int errnum, absl::string_view resource, absl::string_view hint = {}) noexcept;

// ResourceExhausted without a message: making it allocates nothing (INIT-1).
absl::Status OutOfMemory();

}  // namespace tenon

#endif  // TENON_CORE_LOOP_OS_ERROR_H_
