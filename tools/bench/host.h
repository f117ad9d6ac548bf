// What a benchmark runs on.

#ifndef TENON_TOOLS_BENCH_HOST_H_
#define TENON_TOOLS_BENCH_HOST_H_

#include <string>
#include <utility>
#include <vector>

#include "tenon/tools/bench/report.h"

namespace tenon::bench {

// Whether this was compiled with optimisation and without assertions.
bool IsOptimizedBuild();

// Kernel, processor, compiler and build of this process; `libraries` (name, version) follow Tenon's
// own version. What cannot be read is "unknown".
Host DescribeHost(std::vector<std::pair<std::string, std::string>> libraries);

// What makes figures of this host and build doubtful before anything has been measured: a build
// without optimisation, a machine that was busy already.
std::vector<std::string> HostNotes();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_HOST_H_
