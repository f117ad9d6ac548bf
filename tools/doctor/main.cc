// doctor: which of the linked loop backends can run on this machine, and why others cannot.

#include <algorithm>
#include <cstdio>
#include <vector>

#include "absl/strings/string_view.h"
#include "tenon/tools/doctor/doctor.h"

int main(int argc, char** argv) {
  using namespace tenon::doctor;
  const std::vector<absl::string_view> arguments(argv + std::min(argc, 1), argv + argc);
  const Outcome outcome = RunDoctor(arguments);
  std::fputs(outcome.output.c_str(), stdout);
  std::fputs(outcome.errors.c_str(), stderr);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror("doctor: cannot write the report");
    return kRequiredCannotRun;
  }
  return outcome.status;
}
