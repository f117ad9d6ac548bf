// Who is measured: what the tables of subjects of all benchmarks have in common.

#ifndef TENON_TOOLS_BENCH_SUBJECT_H_
#define TENON_TOOLS_BENCH_SUBJECT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tenon::bench {

struct Subject {
  std::string name = {};
  // What it is, in a few words.
  std::string description = {};
  // Ours is compared with everything that is not.
  bool ours = false;
  // Library that it stands for and its version; both empty where there is none.
  std::string library = {};
  std::string version = {};
  // OK, or why it cannot run on this machine; empty if it always can.
  std::function<absl::Status()> probe = {};
};

// OK, or why it cannot run on this machine.
absl::Status Probe(const Subject& subject);

// Every backend that is linked into this binary, in the order of the set, by its name. What a
// backend cannot do here, its probe says. `description` ends with "its … backend".
std::vector<Subject> TenonSubjects(absl::string_view description);

// The peers.
Subject Handwritten(absl::string_view name, absl::string_view description);
Subject HandwrittenIoUring(absl::string_view description);
Subject Libuv(absl::string_view description);
Subject PlainAsio(absl::string_view description);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SUBJECT_H_
