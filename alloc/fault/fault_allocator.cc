#include "tenon/alloc/fault/fault_allocator.h"

#include <cmath>
#include <source_location>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/allocation_site.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::alloc {
namespace {

using Kind = AllocatorOption::Kind;

// In the order in which the factory reads them.
constexpr AllocatorOption kOptions[] = {
    {"nth", Kind::kCount, "this request fails, once", "0"},
    {"from", Kind::kCount, "this request and all after it fail", "0"},
    {"every", Kind::kCount, "each request fails whose number is a multiple of this", "0"},
    {"probability", Kind::kProbability, "each request fails with this probability", "0"},
    {"seed", Kind::kCount, "of the generator for the probability", "0"},
    {"allocations", Kind::kSwitch, "whether new blocks are requests that count and fail", "on"},
    {"resizes", Kind::kSwitch, "whether resizing a block is", "on"},
    {"min_size", Kind::kSize, "only requests of so many bytes or more count and fail", "0"},
    {"max_size", Kind::kSize, "only requests of so many bytes or less; 0 is any", "0"},
};

class FaultFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "fault"; }
  absl::string_view summary() const noexcept override {
    return "makes chosen allocations fail, to test what happens then";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override;
};

absl::StatusOr<Owned<Allocator>> FaultFactory::Create(
    const AllocatorConfig& config) const noexcept {
  const auto& options = config.options;
  FaultPlan plan{.nth = options[0].number,
                 .from = options[1].number,
                 .every = options[2].number,
                 .probability = options[3].probability,
                 .seed = options[4].number,
                 .allocations = options[5].number != 0,
                 .resizes = options[6].number != 0,
                 .min_size = options[7].number};
  if (!(plan.probability >= 0.0 && plan.probability <= 1.0)) {
    return StatusOf(absl::StatusCode::kInvalidArgument, "probability is not between 0 and 1");
  }
  if (options[8].number != 0) plan.max_size = options[8].number;
  if (plan.min_size > plan.max_size) {
    return StatusOf(absl::StatusCode::kInvalidArgument,
                    "min_size is more than max_size: nothing would fail");
  }
  if (!plan.allocations && !plan.resizes) {
    return StatusOf(absl::StatusCode::kInvalidArgument,
                    "allocations and resizes are both off: nothing would fail");
  }
  return MakeAllocator<FaultAllocator>(config.memory, *config.inner, plan);
}

// SplitMix64 (Steele, Lea, Flood 2014): a stateless mix of a counter, so that threads need share
// nothing but the counter.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

template <typename T>
T Load(const std::atomic<T>& value) {
  return value.load(std::memory_order_relaxed);
}

template <typename T>
void Store(std::atomic<T>& value, T new_value) {
  value.store(new_value, std::memory_order_relaxed);
}

}  // namespace

void FaultAllocator::SetPlan(const FaultPlan& plan) noexcept {
  const double probability = plan.probability;
  CHECK(probability >= 0.0 && probability <= 1.0) << "probability " << probability;
  Store(random_threshold_, uint64_t{0});
  Store(nth_, plan.nth);
  Store(from_, plan.from);
  Store(every_, plan.every);
  Store(allocations_, plan.allocations);
  Store(resizes_, plan.resizes);
  Store(min_size_, plan.min_size);
  Store(max_size_, plan.max_size);
  Store(site_file_, plan.site_file);
  Store(site_line_, plan.site_line);
  Store(requests_, uint64_t{0});
  Store(injected_, uint64_t{0});
  Store(random_state_, plan.seed);
  Store(random_threshold_,
        probability >= 1.0 ? UINT64_MAX : static_cast<uint64_t>(std::ldexp(probability, 64)));
}

bool FaultAllocator::Admits(bool resize, size_t size) const noexcept {
  if (!Load(resize ? resizes_ : allocations_)) return false;
  if (size < Load(min_size_) || size > Load(max_size_)) return false;
  const char* const file = Load(site_file_);
  const uint32_t line = Load(site_line_);
  if (file == nullptr && line == 0) return true;
  const std::source_location site = AllocationSite::Current();
  if (file != nullptr && !absl::StrContains(absl::string_view(site.file_name()), file)) {
    return false;
  }
  return line == 0 || line == site.line();
}

bool FaultAllocator::NextFails(bool resize, size_t size) noexcept {
  if (!Admits(resize, size)) return false;
  const uint64_t request = requests_.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint64_t from = Load(from_);
  const uint64_t every = Load(every_);
  bool fails = request == Load(nth_) || (from != 0 && request >= from) ||
               (every != 0 && request % every == 0);
  const uint64_t threshold = Load(random_threshold_);
  if (threshold != 0) {
    constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
    // Drawn for every request, so that what else fails does not change the sequence. Mixed is the
    // state after the step: that before the first is the seed, and 0 is mixed to 0.
    const uint64_t state = random_state_.fetch_add(kStep, std::memory_order_relaxed) + kStep;
    fails |= Mix(state) <= threshold;
  }
  if (fails) injected_.fetch_add(1, std::memory_order_relaxed);
  return fails;
}

Block FaultAllocator::Allocate(Layout layout) noexcept {
  return NextFails(/*resize=*/false, layout.size) ? Fail() : inner_.Allocate(layout);
}

void FaultAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  frees_.Begin();
  inner_.Deallocate(ptr, layout);
  frees_.End();
}

bool FaultAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  return !NextFails(/*resize=*/true, new_size) && inner_.TryResize(ptr, layout, new_size);
}

Block FaultAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  if (NextFails(/*resize=*/true, new_size)) return Fail();
  return inner_.Reallocate(ptr, layout, new_size);
}

AllocatorStats FaultAllocator::Stats() const noexcept {
  AllocatorStats stats = inner_.Stats();
  if (inner_.traits().statistics) stats.failures += Load(failures_);
  return stats;
}

const AllocatorFactory& fault::Factory() {
  static constexpr FaultFactory factory;
  return factory;
}

}  // namespace tenon::alloc
