// Making an io_context for one thread, with failures as statuses.

#ifndef TENON_BACKENDS_ASIO_OWN_CONTEXT_H_
#define TENON_BACKENDS_ASIO_OWN_CONTEXT_H_

#include <optional>

#include "absl/status/status.h"
#include "boost/asio/io_context.hpp"

namespace tenon::asio {

// Makes a context that locks nothing: one thread runs it, and no other has a way to it. A failure
// leaves `context` empty and nothing behind: ResourceExhausted without a message for want of
// memory. REQUIRES: `context` is empty.
absl::Status MakeOwnContext(std::optional<boost::asio::io_context>& context) noexcept;

// Turns the exception that is being handled into a status: ResourceExhausted without a message for
// std::bad_alloc, the operating system's refusal by its errno. REQUIRES: called in a handler.
absl::Status StatusOfException() noexcept;

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_OWN_CONTEXT_H_
