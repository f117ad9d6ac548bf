// What doctor finds out about a machine: plain data, which reports are made of.

#ifndef TENON_TOOLS_DOCTOR_FINDINGS_H_
#define TENON_TOOLS_DOCTOR_FINDINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tenon/core/loop/loop_backend.h"

namespace tenon::doctor {

// A limit that there is not.
inline constexpr uint64_t kUnlimited = UINT64_MAX;

// A limit of this process (getrlimit(2)).
struct ResourceLimit {
  std::string name;
  uint64_t soft = 0;
  uint64_t hard = 0;
  // Such as "bytes", or empty for a number of things.
  std::string unit;
  std::string what;
};

// A setting of the kernel (sysctl(8)).
struct KernelSetting {
  std::string name;
  // Empty where the kernel does not have it, or hides it.
  std::optional<std::string> value;
  std::string what;
};

// Limits of the control group of this process, the lowest of it and its ancestors as far as they
// can be seen. Empty: cannot be read.
struct ControlGroup {
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> threads;
};

// Whether system calls of this process are filtered (seccomp(2)).
enum class SystemCallFilter { kUnknown, kNone, kStrict, kFilter };

struct HostFindings {
  // Of uname(2).
  std::string kernel;
  std::string machine;
  int processors = 0;
  SystemCallFilter filter = SystemCallFilter::kUnknown;
  ControlGroup control_group;
  std::vector<ResourceLimit> limits;
  std::vector<KernelSetting> settings;
};

// What one more loop with default options costs this process.
struct LoopCost {
  // Open as long as the loop is, and those more once a foreign loop drives it (Loop::PollFd).
  int descriptors = 0;
  int embedding_descriptors = 0;
  int threads = 0;
  // Asked of the allocator, and the part of memory that was touched, that of threads and of
  // mappings shared with the kernel included. What the kernel keeps for itself is in neither.
  uint64_t reserved_bytes = 0;
  uint64_t resident_bytes = 0;
};

// A BackendFeature, kept.
struct Feature {
  std::string name;
  std::string since;
  bool available = false;
  std::string without;
};

struct BackendFindings {
  std::string name;
  // OK if a loop was made and did a little of everything; else why not, and what to change.
  absl::Status status;
  // What failed, such as "Probe" or "echo"; empty if nothing did.
  std::string failed_step;
  std::vector<Feature> features;
  // Those that follow are only meant if a loop was made.
  BackendCapabilities capabilities;
  // Whether a foreign loop can drive it (Loop::PollFd).
  bool embeddable = false;
  // Empty unless the status is OK.
  std::optional<LoopCost> cost;
};

// What OpenLoop({.backend = "auto"}) does here.
struct AutomaticChoice {
  // The backend taken, or why none was.
  std::string backend;
  absl::Status status;
};

struct Findings {
  HostFindings host;
  // In the order of the set that is linked.
  std::vector<BackendFindings> backends;
  AutomaticChoice automatic;
  // What is worth a change although everything may run, each with its remedy.
  std::vector<std::string> advice;
};

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_FINDINGS_H_
