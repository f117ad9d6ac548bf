#include "tenon/alloc/fault/fault_allocator.h"

#include <cmath>

#include "absl/log/check.h"

namespace tenon::alloc {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): a stateless mix of a counter, so that threads need share
// nothing but the counter.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

void FaultAllocator::SetPlan(uint64_t first, uint64_t last) {
  random_threshold_.store(0, std::memory_order_relaxed);
  first_.store(first, std::memory_order_relaxed);
  last_.store(last, std::memory_order_relaxed);
  requests_.store(0, std::memory_order_relaxed);
  injected_.store(0, std::memory_order_relaxed);
}

void FaultAllocator::FailRandomly(double probability, uint64_t seed) {
  CHECK(probability >= 0.0 && probability <= 1.0) << "probability " << probability;
  SetPlan(0, 0);
  random_state_.store(seed, std::memory_order_relaxed);
  random_threshold_.store(
      probability >= 1.0 ? UINT64_MAX : static_cast<uint64_t>(std::ldexp(probability, 64)),
      std::memory_order_relaxed);
}

bool FaultAllocator::NextFails() noexcept {
  const uint64_t request = requests_.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint64_t first = first_.load(std::memory_order_relaxed);
  bool fails = first != 0 && request >= first && request <= last_.load(std::memory_order_relaxed);
  const uint64_t threshold = random_threshold_.load(std::memory_order_relaxed);
  if (threshold != 0) {
    constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
    fails = Mix(random_state_.fetch_add(kStep, std::memory_order_relaxed)) <= threshold;
  }
  if (fails) injected_.fetch_add(1, std::memory_order_relaxed);
  return fails;
}

Block FaultAllocator::Allocate(Layout layout) noexcept {
  return NextFails() ? Block{} : inner_.Allocate(layout);
}

void FaultAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  inner_.Deallocate(ptr, layout);
}

bool FaultAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  return !NextFails() && inner_.TryResize(ptr, layout, new_size);
}

Block FaultAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  return NextFails() ? Block{} : inner_.Reallocate(ptr, layout, new_size);
}

AllocatorStats FaultAllocator::Stats() const noexcept {
  AllocatorStats stats = inner_.Stats();
  stats.failures += injected();
  return stats;
}

}  // namespace tenon::alloc
