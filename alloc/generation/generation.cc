#include "tenon/alloc/generation/generation.h"

#include <atomic>

namespace tenon::alloc {

uint64_t DrawGeneration() noexcept {
  static constinit std::atomic<uint64_t> drawn{0};
  // 2^64 divided by the golden ratio: odd, so that no product comes twice.
  constexpr uint64_t kSpread = 0x9e3779b97f4a7c15;
  return (drawn.fetch_add(1, std::memory_order_relaxed) + 1) * kSpread;
}

}  // namespace tenon::alloc
