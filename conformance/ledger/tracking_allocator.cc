#include "tenon/conformance/ledger/tracking_allocator.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "absl/strings/str_format.h"

namespace tenon::conformance {
namespace {

constexpr int kFreshByte = 0xCD;
constexpr int kFreedByte = 0xDD;
// Enough to explain a rule's failure; a loop of wrong frees must not fill the memory.
constexpr size_t kMaxMisuses = 100;

void* AllocateAligned(Layout layout) {
  const size_t alignment = std::max(layout.alignment, alignof(std::max_align_t));
  const size_t size = std::max<size_t>(layout.size, 1);
  if (size > std::numeric_limits<size_t>::max() - alignment) return nullptr;
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

}  // namespace

TrackingAllocator::~TrackingAllocator() {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [ptr, record] : live_) std::free(ptr);
}

Block TrackingAllocator::Allocate(Layout layout) noexcept {
  void* const ptr = AllocateAligned(layout);
  const absl::MutexLock lock(&mutex_);
  if (ptr == nullptr) {
    ++stats_.failures;
    return {};
  }
  std::memset(ptr, kFreshByte, layout.size);
  ++stats_.total_blocks;
  ++stats_.live_blocks;
  stats_.live_bytes += layout.size;
  freed_.erase(ptr);
  live_[ptr] = {layout, stats_.total_blocks};
  return {ptr, layout.size};
}

void TrackingAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const int saved_errno = errno;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = live_.find(ptr);
    if (found == live_.end()) {
      if (misuses_.size() < kMaxMisuses) {
        misuses_.push_back(freed_.contains(ptr)
                               ? absl::StrFormat("a block of %d bytes was freed twice", layout.size)
                               : absl::StrFormat("a pointer was freed that is no block of the "
                                                 "rule's allocator (as %d bytes)",
                                                 layout.size));
      }
      return;
    }
    const Layout allocated = found->second.layout;
    if (allocated.size != layout.size || allocated.alignment != layout.alignment) {
      if (misuses_.size() < kMaxMisuses) {
        misuses_.push_back(
            absl::StrFormat("a block of %d bytes aligned to %d was freed as %d bytes aligned to %d",
                            allocated.size, allocated.alignment, layout.size, layout.alignment));
      }
    }
    --stats_.live_blocks;
    stats_.live_bytes -= allocated.size;
    std::memset(ptr, kFreedByte, allocated.size);
    freed_.insert(ptr);
    live_.erase(found);
  }
  std::free(ptr);
  errno = saved_errno;
}

AllocatorStats TrackingAllocator::Stats() const noexcept {
  const absl::MutexLock lock(&mutex_);
  return stats_;
}

std::vector<std::string> TrackingAllocator::Misuses() const {
  const absl::MutexLock lock(&mutex_);
  return misuses_;
}

std::vector<std::string> TrackingAllocator::LiveSince(uint64_t total_blocks, size_t limit) const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::pair<uint64_t, size_t>> found;
  for (const auto& [ptr, record] : live_) {
    if (record.number > total_blocks) found.emplace_back(record.number, record.layout.size);
  }
  std::sort(found.begin(), found.end());
  if (found.size() > limit) found.resize(limit);
  std::vector<std::string> phrases;
  for (const auto& [number, size] : found) {
    phrases.push_back(absl::StrFormat("block %d of %d bytes", number, size));
  }
  return phrases;
}

}  // namespace tenon::conformance
