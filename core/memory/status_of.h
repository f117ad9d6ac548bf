// Statuses that can be made where memory has run out.

#ifndef TENON_CORE_MEMORY_STATUS_OF_H_
#define TENON_CORE_MEMORY_STATUS_OF_H_

#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tenon {

// A status of this code with the pieces, joined, as its message; without a message where there is
// no memory for one. Functions that are noexcept make their statuses by it: those of Abseil let
// bad_alloc through, which would end the process.
template <typename... Pieces>
absl::Status StatusOf(absl::StatusCode code, const Pieces&... pieces) noexcept {
  try {
    return absl::Status(code, absl::StrCat(pieces...));
  } catch (const std::bad_alloc&) {
    return absl::Status(code, "");
  }
}

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_STATUS_OF_H_
