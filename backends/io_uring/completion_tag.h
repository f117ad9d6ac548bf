// What a completion belongs to, as told by its user_data.

#ifndef TENON_BACKENDS_IO_URING_COMPLETION_TAG_H_
#define TENON_BACKENDS_IO_URING_COMPLETION_TAG_H_

#include <cstdint>

#include "tenon/core/loop/operation.h"

namespace tenon::io_uring {

// Not the addresses of operations, which are aligned.
inline constexpr uint64_t kWakeTag = 1;
inline constexpr uint64_t kCancelTag = 2;

inline uint64_t TagOf(const Operation& operation) { return reinterpret_cast<uint64_t>(&operation); }

// REQUIRES: the tag is neither of those above.
inline Operation& OperationOf(uint64_t tag) { return *reinterpret_cast<Operation*>(tag); }

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_COMPLETION_TAG_H_
