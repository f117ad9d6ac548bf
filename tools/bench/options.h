// The command line of a benchmark.

#ifndef TENON_TOOLS_BENCH_OPTIONS_H_
#define TENON_TOOLS_BENCH_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tenon::bench {

// A median of fewer says little on a machine that does other things too.
inline constexpr int kMinRounds = 5;
inline constexpr int kMaxRounds = 1000;
inline constexpr int kMaxConnections = 4096;

enum class Format { kTable, kJson };

// What a benchmark lets its user choose, beside what all of them have.
struct OptionsSpec {
  std::vector<std::string> subjects = {};
  // Has --cases, a choice of these, unless it is empty.
  std::vector<std::string> cases = {};
  // Has --connections.
  bool connections = false;
  // Has --dir.
  bool directory = false;
};

struct Options {
  Format format = Format::kTable;
  // File to write the report to; standard output if empty.
  std::string out;
  // Shorter rounds, and the fewest that are allowed.
  bool quick = false;
  // From kMinRounds to kMaxRounds; 0 leaves it to the benchmark.
  int rounds = 0;
  // Each from 1 to kMaxConnections and named once; empty leaves them to the benchmark.
  std::vector<int> connections;
  // Cases to run, each known and named once; empty means all.
  std::vector<std::string> cases;
  // Where files are made; empty leaves it to the benchmark.
  std::string directory;
  // Subjects to run, each known and named once; empty means all.
  std::vector<std::string> subjects;
  bool help = false;
};

// Reads the arguments behind the sub-command: `--name=value` or `--name value`, lists separated by
// commas. InvalidArgument, naming the argument and what would be valid, for anything else.
absl::StatusOr<Options> ParseOptions(absl::Span<const absl::string_view> arguments,
                                     const OptionsSpec& spec);

// The options, one a line, for `--help`.
std::string OptionsHelp(const OptionsSpec& spec);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_OPTIONS_H_
