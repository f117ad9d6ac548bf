#include "tenon/conformance/allocator/model_allocator.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/log/check.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::conformance {
namespace {

class ModelFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "model"; }
  absl::string_view summary() const noexcept override {
    return "keeps every rule, in the plainest way";
  }
  absl::Span<const AllocatorOption> options() const noexcept override {
    static constexpr AllocatorOption kOptions[] = {
        {.name = "bytes", .kind = AllocatorOption::Kind::kSize, .summary = "live at once"}};
    return kOptions;
  }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    return alloc::MakeAllocator<ModelAllocator>(config.memory, *config.inner,
                                                config.options[0].number);
  }
};

}  // namespace

ModelAllocator::~ModelAllocator() {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [ptr, record] : live_) inner_.Deallocate(ptr, record.layout);
}

Block ModelAllocator::Fail() {
  ++failures_;
  return {};
}

void ModelAllocator::Add(void* ptr, Layout layout, uint64_t number) {
  ++live_blocks_;
  live_bytes_ += layout.size;
  live_[ptr] = {layout, number, AllocationSite::Current()};
}

uint64_t ModelAllocator::Remove(void* ptr, Layout layout) {
  const auto found = live_.find(ptr);
  CHECK(found != live_.end()) << "model: Deallocate of " << ptr << ", which is not live";
  const Layout allocated = found->second.layout;
  CHECK(allocated.size == layout.size && allocated.alignment == layout.alignment)
      << "model: Deallocate of " << ptr << " with another layout than it was allocated with";
  --live_blocks_;
  live_bytes_ -= layout.size;
  const uint64_t number = found->second.number;
  live_.erase(found);
  return number;
}

Block ModelAllocator::Allocate(Layout layout) noexcept {
  const absl::MutexLock lock(&mutex_);
  const Block block = Fits(layout.size) ? inner_.Allocate(layout) : Block{};
  if (block.ptr == nullptr) return Fail();
  Add(block.ptr, layout, ++total_blocks_);
  return {block.ptr, layout.size};
}

void ModelAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const int saved_errno = errno;
  const absl::MutexLock lock(&mutex_);
  Remove(ptr, layout);
  inner_.Deallocate(ptr, layout);
  errno = saved_errno;
}

Block ModelAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const absl::MutexLock lock(&mutex_);
  const Layout new_layout = {.size = new_size, .alignment = layout.alignment};
  const size_t kept = std::min(layout.size, new_size);
  const Block moved = Fits(new_size - kept) ? inner_.Allocate(new_layout) : Block{};
  if (moved.ptr == nullptr) return Fail();
  std::memcpy(moved.ptr, ptr, kept);
  const uint64_t number = Remove(ptr, layout);
  inner_.Deallocate(ptr, layout);
  Add(moved.ptr, new_layout, number);
  return {moved.ptr, new_size};
}

AllocatorStats ModelAllocator::Stats() const noexcept {
  return {.live_bytes = live_bytes_,
          .live_blocks = live_blocks_,
          .total_blocks = total_blocks_,
          .failures = failures_};
}

AllocatorTraits ModelAllocator::traits() const noexcept {
  return {.thread_safe = true,
          .foreign_free = true,
          .bulk_release = true,
          .statistics = true,
          .tracking = true,
          .quota_bytes = quota_bytes_,
          .exact_quota = true};
}

void ModelAllocator::VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [ptr, record] : live_) {
    visit({.ptr = ptr,
           .size = record.layout.size,
           .number = record.number,
           .site = record.site,
           .stack = {}});
  }
}

const AllocatorFactory& ModelAllocatorFactory() {
  static constexpr ModelFactory factory;
  return factory;
}

}  // namespace tenon::conformance
