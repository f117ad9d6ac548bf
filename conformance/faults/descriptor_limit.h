// Refusing descriptors: EMFILE at the nth.

#ifndef TENON_CONFORMANCE_FAULTS_DESCRIPTOR_LIMIT_H_
#define TENON_CONFORMANCE_FAULTS_DESCRIPTOR_LIMIT_H_

#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tenon/conformance/faults/sweep.h"

namespace tenon::conformance {

// While it lives, this process can open exactly `available` more descriptors; the next is refused
// with EMFILE. A descriptor that is closed meanwhile makes room for another, if its number is below
// the limit, as those of the process's latest descriptors are.
//
// Threads: the limit is the process's. One at a time.
class DescriptorLimit {
 public:
  // REQUIRES: available >= 0.
  explicit DescriptorLimit(int available);
  ~DescriptorLimit();
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit saved_ = {};
};

// Refuses the nth descriptor and, as the process is then full, all after it: kSticky alone. Whether
// one was asked for cannot be seen from outside, so a sweep takes an attempt that failed as one
// that met the fault, and ends at the first success.
class DescriptorFaults final : public FaultSource {
 public:
  std::string name() const override { return "descriptor"; }
  bool Supports(FaultMode mode) const override { return mode == FaultMode::kSticky; }
  bool Observable() const override { return false; }
  void Arm(uint64_t n, FaultMode mode) override;
  uint64_t Disarm() override;

 private:
  std::optional<DescriptorLimit> limit_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_FAULTS_DESCRIPTOR_LIMIT_H_
