// What a process holds, before and after: descriptors, threads, mappings, an allocator's blocks.

#ifndef TENON_CONFORMANCE_LEDGER_LEDGER_H_
#define TENON_CONFORMANCE_LEDGER_LEDGER_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tenon/conformance/ledger/tracking_allocator.h"

namespace tenon::conformance {

// One reading of the process.
struct LedgerSnapshot {
  struct Range {
    uintptr_t begin = 0;
    uintptr_t end = 0;
  };

  // Number -> identity: what it links to, the device, the inode. A number that now means another
  // open file is a difference.
  std::map<int, std::string> descriptors;
  // Thread id -> name. Without threads that are exiting, as a joined one may be seen to be for a
  // moment, and without the kernel's own for io_uring ("iou-..."), which outlive the ring and
  // cannot be ended from user space.
  std::map<pid_t, std::string> threads;
  // Name -> bytes: mapped files, rings, shared memory. Without loaded libraries, which come with
  // the first use of a name service or of an unwinder and stay.
  std::map<std::string, uint64_t> mappings;
  // Private memory without a name, in order of address, neighbours joined. Empty under a sanitizer,
  // whose own memory looks the same.
  std::vector<Range> anonymous;
  AllocatorStats allocator;
  size_t allocator_misuses = 0;
};

// Compares the process with itself.
//
// Ownership: `allocator`, where given, outlives the ledger.
// Threads: one at a time. Other threads of the process are part of what is measured.
//
//   Ledger ledger(&rule.tracking());
//   { ... what must leave nothing behind ... }
//   EXPECT_THAT(ledger.Differences(), testing::IsEmpty());
class Ledger {
 public:
  // Without an allocator only the process is compared. Marks.
  explicit Ledger(const TrackingAllocator* allocator = nullptr);

  // From now on differences are those to this moment.
  void Mark();

  // One precise sentence for each difference between the mark and now, none when there is none:
  // "descriptor 7 -> socket:[123] was not there before".
  //
  // Does not cover anonymous memory; see NewAnonymousMemory().
  std::vector<std::string> Differences() const;

  // One sentence for each range of anonymous memory that was not mapped at the mark.
  //
  // A growth seen once is no proof of a leak: libraries keep caches for the life of the process.
  // One that repeats whenever the same code runs is. In a rule's child process malloc and the cache
  // of thread stacks are configured so as not to map memory of their own (see LedgerTunables()),
  // and the runner repeats a body that shows growth before it judges.
  std::vector<std::string> NewAnonymousMemory() const;

 private:
  const TrackingAllocator* const allocator_;
  LedgerSnapshot mark_;
};

// Reads the process. `allocator` may be null.
LedgerSnapshot TakeSnapshot(const TrackingAllocator* allocator);

// Settings for GLIBC_TUNABLES that keep the C library from mapping memory of its own accord: one
// malloc arena, which grows by brk(2) alone, and no cache of thread stacks.
std::string LedgerTunables();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LEDGER_LEDGER_H_
