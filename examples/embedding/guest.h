// What an application has Tenon do inside a loop that is not Tenon's.

#ifndef TENON_EXAMPLES_EMBEDDING_GUEST_H_
#define TENON_EXAMPLES_EMBEDDING_GUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/task/task.h"

// An echo server and its client over TCP, a timer that ticks, and another thread that posts, all at
// the same time. Results in a summary when each has done its share. Nothing in it depends on who
// runs the loop.
tenon::Task<absl::StatusOr<std::string>> Guest(tenon::Loop& loop);

#endif  // TENON_EXAMPLES_EMBEDDING_GUEST_H_
