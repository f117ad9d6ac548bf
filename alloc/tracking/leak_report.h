// A report of the blocks that are live, as text and as JSON.

#ifndef TENON_ALLOC_TRACKING_LEAK_REPORT_H_
#define TENON_ALLOC_TRACKING_LEAK_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// What is live in an allocator at one moment: exact totals, all sites, and the oldest blocks up to
// a limit (ALC-16). It is a copy, which remains as it is.
//
// Uses the C++ heap, and ends the process where that is exhausted.
//
// Threads: any, one at a time.
class LeakReport {
 public:
  struct Site {
    std::source_location where;  // line 0 for blocks without a site
    uint64_t blocks = 0;
    uint64_t bytes = 0;
  };
  struct KeptBlock {
    const void* ptr = nullptr;
    size_t size = 0;
    uint64_t number = 0;
    std::source_location site;
    std::vector<void*> stack;  // return addresses, innermost first; empty where none was recorded
  };

  // Reports on `allocator`, whose traits declare `tracking`: nothing is live in any other. The
  // `max_blocks` with the lowest numbers are kept; the totals and sites count all.
  static LeakReport Of(const Allocator& allocator, size_t max_blocks = 100);

  uint64_t live_blocks() const { return live_blocks_; }
  uint64_t live_bytes() const { return live_bytes_; }
  // Most bytes first.
  const std::vector<Site>& sites() const { return sites_; }
  // In the order of their numbers.
  const std::vector<KeptBlock>& blocks() const { return blocks_; }

  // For people. One line with the totals, one for each site, one or more for each block kept;
  // stacks are symbolised as far as the binary has symbols.
  std::string WriteText() const;

  // For programs. One object: {"live_blocks", "live_bytes", "sites": [{"file", "line", "function",
  // "blocks", "bytes"}], "blocks": [{"number", "bytes", "address", "file", "line", "function",
  // "stack": [text]}], "blocks_left_out"}. Numbers are decimal, addresses text; a site that is not
  // known has an empty file and line 0.
  std::string WriteJson() const;

 private:
  LeakReport() = default;

  uint64_t live_blocks_ = 0;
  uint64_t live_bytes_ = 0;
  std::vector<Site> sites_;
  std::vector<KeptBlock> blocks_;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_TRACKING_LEAK_REPORT_H_
