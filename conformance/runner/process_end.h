// How a process ended, in words.

#ifndef TENON_CONFORMANCE_RUNNER_PROCESS_END_H_
#define TENON_CONFORMANCE_RUNNER_PROCESS_END_H_

#include <string>
#include <string_view>

namespace tenon::conformance {

// "SIGABRT", "exit 3"; empty for an exit with status 0. `wait_status` is that of waitpid(2).
std::string DescribeProcessEnd(int wait_status);

// The name of the first sanitizer report in what a process wrote to standard error:
// "AddressSanitizer: heap-use-after-free", "ThreadSanitizer: data race",
// "LeakSanitizer: detected memory leaks", "UndefinedBehaviorSanitizer: <what>". Empty when there is
// none.
std::string FindSanitizerReport(std::string_view standard_error);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_PROCESS_END_H_
