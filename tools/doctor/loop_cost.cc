#include "tenon/tools/doctor/loop_cost.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/loop.h"

namespace tenon::doctor {
namespace {

// Enough that a page more or less does not matter, few enough for small limits.
constexpr int kLoops = 4;

// The process's heap, counting what is live. Any thread.
class CountingAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    const Block block = heap_.Allocate(layout);
    if (block.ptr != nullptr) live_bytes_ += layout.size;
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) live_bytes_ -= layout.size;
    heap_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return {.live_bytes = live_bytes_}; }
  AllocatorTraits traits() const noexcept override { return heap_.traits(); }

 private:
  alloc::SystemAllocator heap_;
  std::atomic<uint64_t> live_bytes_{0};
};

enum class ReadingDescriptor { kCounts, kDoesNotCount };

// The names in a directory below /proc/self.
std::set<std::string> Entries(const char* directory, ReadingDescriptor reading_descriptor) {
  std::set<std::string> entries;
  DIR* const stream = ::opendir(directory);
  if (stream == nullptr) return entries;
  while (const dirent* entry = ::readdir(stream)) {
    if (entry->d_name[0] != '.') entries.insert(entry->d_name);
  }
  if (reading_descriptor == ReadingDescriptor::kDoesNotCount) {
    entries.erase(absl::StrCat(::dirfd(stream)));
  }
  ::closedir(stream);
  return entries;
}

// What the process has at one moment.
struct Holdings {
  std::set<std::string> descriptors;
  std::set<std::string> threads;
  int64_t reserved_bytes = 0;
  int64_t resident_bytes = 0;
};

Holdings Look(const CountingAllocator& allocator) {
  Holdings holdings;
  holdings.descriptors = Entries("/proc/self/fd", ReadingDescriptor::kDoesNotCount);
  holdings.threads = Entries("/proc/self/task", ReadingDescriptor::kCounts);
  holdings.reserved_bytes = static_cast<int64_t>(allocator.Stats().live_bytes);
  // proc_pid_statm(5): size, resident, …, in pages.
  int64_t size = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  holdings.resident_bytes = resident * ::sysconf(_SC_PAGESIZE);
  return holdings;
}

// What has come, for each loop. Not what there is more of: a thread that was joined may still be
// among the entries for a moment.
int NewForEach(const std::set<std::string>& before, const std::set<std::string>& after) {
  const auto is_new = [&](const std::string& entry) { return before.count(entry) == 0; };
  return static_cast<int>(std::count_if(after.begin(), after.end(), is_new)) / kLoops;
}

uint64_t Each(int64_t before, int64_t after) {
  return static_cast<uint64_t>(std::max<int64_t>(after - before, 0)) / kLoops;
}

}  // namespace

absl::StatusOr<LoopCost> MeasureLoopCost(const LoopBackendFactory& factory) {
  CountingAllocator allocator;
  std::vector<Owned<Loop>> loops;
  loops.reserve(1 + kLoops);
  const auto add_loop = [&]() -> absl::Status {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, LoopOptions(), allocator);
    if (!loop.ok()) return loop.status();
    (*loop)->Poll();
    loops.push_back(*std::move(loop));
    return absl::OkStatus();
  };
  // What only the first one costs: code that is run, parts of the heap.
  if (absl::Status status = add_loop(); !status.ok()) return status;
  // Memory that others gave back would be taken again without a trace.
  ::malloc_trim(0);
  const Holdings before = Look(allocator);
  for (int i = 0; i < kLoops; ++i) {
    if (absl::Status status = add_loop(); !status.ok()) return status;
  }
  const Holdings after = Look(allocator);
  LoopCost cost;
  cost.descriptors = NewForEach(before.descriptors, after.descriptors);
  cost.threads = NewForEach(before.threads, after.threads);
  cost.reserved_bytes = Each(before.reserved_bytes, after.reserved_bytes);
  cost.resident_bytes = Each(before.resident_bytes, after.resident_bytes);
  for (int i = 1; i <= kLoops; ++i) {
    if (!loops[static_cast<size_t>(i)]->PollFd().ok()) return cost;
  }
  cost.embedding_descriptors = NewForEach(after.descriptors, Look(allocator).descriptors);
  return cost;
}

}  // namespace tenon::doctor
