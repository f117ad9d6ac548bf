#include "tenon/conformance/faults/descriptor_limit.h"

#include <fcntl.h>

#include "absl/log/check.h"

namespace tenon::conformance {

DescriptorLimit::DescriptorLimit(int available) {
  CHECK_GE(available, 0);
  PCHECK(getrlimit(RLIMIT_NOFILE, &saved_) == 0);
  // New descriptors get the lowest free number, so the limit is the number after the last one that
  // may be had: that of the first one that may not.
  rlim_t number = 0;
  for (int free = 0; number < saved_.rlim_cur; ++number) {
    if (fcntl(static_cast<int>(number), F_GETFD) < 0 && free++ == available) break;
  }
  const rlimit lowered = {.rlim_cur = number, .rlim_max = saved_.rlim_max};
  PCHECK(setrlimit(RLIMIT_NOFILE, &lowered) == 0);
}

DescriptorLimit::~DescriptorLimit() { PCHECK(setrlimit(RLIMIT_NOFILE, &saved_) == 0); }

void DescriptorFaults::Arm(uint64_t n, FaultMode /*mode*/) {
  limit_.emplace(static_cast<int>(n - 1));
}

uint64_t DescriptorFaults::Disarm() {
  limit_.reset();
  return 0;
}

}  // namespace tenon::conformance
