#include "tenon/conformance/runner/crash_reporter.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>

#include "absl/debugging/symbolize.h"

namespace tenon::conformance {
namespace {

// A sanitizer reports crashes by itself, and better.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerReports = true;
#else
constexpr bool kSanitizerReports = false;
#endif

constexpr int kMaxFrames = 48;
// The handler itself, and the kernel's trampoline into it.
constexpr int kOwnFrames = 2;

// Where handlers run, since the thread's own stack may be what overflowed.
constexpr size_t kStackSize = 64 * 1024;
alignas(16) char handler_stack[kStackSize];

void Print(const char* text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, strlen(text));
}

void ReportCrash(int number) {
  // The default action comes when the signal is raised again, at the end; and at once if the
  // reporting itself crashes.
  signal(number, SIG_DFL);
  void* frames[kMaxFrames];
  const int count = backtrace(frames, kMaxFrames);
  Print("stack:\n");
  for (int i = kOwnFrames; i < count; ++i) {
    char name[512];
    char line[640];
    // A return address may be the first byte of the next function.
    const char* const address = static_cast<const char*>(frames[i]) - 1;
    if (!absl::Symbolize(address, name, sizeof(name))) snprintf(name, sizeof(name), "?");
    snprintf(line, sizeof(line), "  %p %s\n", frames[i], name);
    Print(line);
  }
  raise(number);
}

}  // namespace

void InstallCrashReporter(const char* program) {
  if (kSanitizerReports) return;
  absl::InitializeSymbolizer(program);
  // The first call loads the unwinder, which a handler could not.
  void* frame = nullptr;
  backtrace(&frame, 1);
  stack_t stack = {};
  stack.ss_sp = handler_stack;
  stack.ss_size = kStackSize;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = ReportCrash;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}) {
    sigaction(number, &action, nullptr);
  }
}

}  // namespace tenon::conformance
