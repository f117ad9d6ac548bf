#include "tenon/conformance/allocator/model_allocator.h"

#include <cerrno>
#include <utility>

#include "absl/log/check.h"
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
    Owned<ModelAllocator> made =
        MakeOwned<ModelAllocator>(config.memory, *config.inner, config.options[0].number);
    if (made == nullptr) return absl::ResourceExhaustedError("");
    return Owned<Allocator>(std::move(made));
  }
};

}  // namespace

ModelAllocator::~ModelAllocator() {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [ptr, record] : live_) inner_.Deallocate(ptr, record.layout);
}

Block ModelAllocator::Allocate(Layout layout) noexcept {
  const absl::MutexLock lock(&mutex_);
  const bool fits = layout.size <= quota_bytes_ - stats_.live_bytes;
  const Block block = fits ? inner_.Allocate(layout) : Block{};
  if (block.ptr == nullptr) {
    ++stats_.failures;
    return {};
  }
  ++stats_.total_blocks;
  ++stats_.live_blocks;
  stats_.live_bytes += layout.size;
  live_[block.ptr] = {layout, stats_.total_blocks, AllocationSite::Current()};
  return {block.ptr, layout.size};
}

void ModelAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const int saved_errno = errno;
  const absl::MutexLock lock(&mutex_);
  const auto found = live_.find(ptr);
  CHECK(found != live_.end()) << "model: Deallocate of " << ptr << ", which is not live";
  const Layout allocated = found->second.layout;
  CHECK(allocated.size == layout.size && allocated.alignment == layout.alignment)
      << "model: Deallocate of " << ptr << " with another layout than it was allocated with";
  --stats_.live_blocks;
  stats_.live_bytes -= layout.size;
  live_.erase(found);
  inner_.Deallocate(ptr, layout);
  errno = saved_errno;
}

AllocatorStats ModelAllocator::Stats() const noexcept {
  const absl::MutexLock lock(&mutex_);
  return stats_;
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
