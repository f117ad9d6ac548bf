#include "tenon/alloc/quota/quota_allocator.h"

#include <algorithm>

#include "absl/log/check.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::alloc {
namespace {

constexpr AllocatorOption kOptions[] = {{
    .name = "bytes",
    .kind = AllocatorOption::Kind::kSize,
    .summary = "how many bytes may be live at once",
}};

class QuotaFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "quota"; }
  absl::string_view summary() const noexcept override {
    return "refuses what would make more bytes live than a limit";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    const uint64_t bytes = config.options[0].number;
    if (bytes == 0) {
      return StatusOf(
          absl::StatusCode::kInvalidArgument,
          "bytes is 0, which would refuse every block; leave the quota out for no limit");
    }
    return MakeAllocator<QuotaAllocator>(config.memory, *config.inner, bytes);
  }
};

}  // namespace

QuotaAllocator::QuotaAllocator(Allocator& inner, uint64_t limit_bytes)
    : inner_(inner), limit_(limit_bytes) {
  CHECK_GE(limit_bytes, 1u);
}

void QuotaAllocator::SetLimit(uint64_t limit_bytes) noexcept {
  CHECK_GE(limit_bytes, 1u);
  limit_.store(limit_bytes, std::memory_order_relaxed);
}

bool QuotaAllocator::Charge(uint64_t bytes) noexcept {
  const uint64_t limit = limit_.load(std::memory_order_relaxed);
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    // The limit may have been lowered beneath what is used.
    if (bytes != 0 && (used >= limit || bytes > limit - used)) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_acquire,
                                        std::memory_order_relaxed));
  return true;
}

Block QuotaAllocator::Allocate(Layout layout) noexcept {
  if (!Charge(layout.size)) return Refuse();
  const Block block = inner_.Allocate(layout);
  if (block.ptr == nullptr) GiveBack(layout.size);
  return block;
}

void QuotaAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  frees_.Begin();
  inner_.Deallocate(ptr, layout);
  GiveBack(layout.size);
  frees_.End();
}

bool QuotaAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  const uint64_t growth = new_size > layout.size ? new_size - layout.size : 0;
  const uint64_t shrinkage = new_size < layout.size ? layout.size - new_size : 0;
  if (!Charge(growth)) return false;  // No failure, but an answer (ALC-5).
  const bool resized = inner_.TryResize(ptr, layout, new_size);
  GiveBack(resized ? shrinkage : growth);
  return resized;
}

Block QuotaAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const uint64_t growth = new_size > layout.size ? new_size - layout.size : 0;
  const uint64_t shrinkage = new_size < layout.size ? layout.size - new_size : 0;
  if (!Charge(growth)) return Refuse();
  const Block block = inner_.Reallocate(ptr, layout, new_size);
  GiveBack(block.ptr != nullptr ? shrinkage : growth);
  return block;
}

AllocatorStats QuotaAllocator::Stats() const noexcept {
  AllocatorStats stats = inner_.Stats();
  if (inner_.traits().statistics) stats.failures += refused();
  return stats;
}

AllocatorTraits QuotaAllocator::traits() const noexcept {
  AllocatorTraits traits = inner_.traits();
  traits.exact_quota = traits.quota_bytes == 0 || traits.exact_quota;
  traits.quota_bytes = traits.quota_bytes == 0 ? limit() : std::min(traits.quota_bytes, limit());
  return traits;
}

const AllocatorFactory& quota::Factory() {
  static constexpr QuotaFactory factory;
  return factory;
}

}  // namespace tenon::alloc
