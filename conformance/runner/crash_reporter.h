// The stack of a process that is about to die.

#ifndef TENON_CONFORMANCE_RUNNER_CRASH_REPORTER_H_
#define TENON_CONFORMANCE_RUNNER_CRASH_REPORTER_H_

namespace tenon::conformance {

// From now on SIGABRT, SIGSEGV, SIGBUS, SIGILL and SIGFPE write the stack of their thread to
// standard error before they take their default action. Does nothing under a sanitizer, which has
// handlers of its own. `program` is argv[0]. Call it once, before threads are started.
void InstallCrashReporter(const char* program);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_CRASH_REPORTER_H_
