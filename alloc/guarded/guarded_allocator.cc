#include "tenon/alloc/guarded/guarded_allocator.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tenon/alloc/factory/make_allocator.h"

namespace tenon::alloc {
namespace {

class GuardedFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "guarded"; }
  absl::string_view summary() const noexcept override {
    return "makes an allocator of one thread usable from many, by a mutex; adds statistics";
  }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    return MakeAllocator<GuardedAllocator>(config.memory, *config.inner);
  }
};

}  // namespace

GuardedAllocator::GuardedAllocator(Allocator& inner)
    : inner_(inner),
      unguarded_(inner.traits().thread_safe ? &inner : nullptr),
      guarded_(unguarded_ == nullptr ? &inner : nullptr) {}

inline Block GuardedAllocator::InnerAllocate(Layout layout) noexcept {
  if (unguarded_ != nullptr) return unguarded_->Allocate(layout);
  const Locked locked(mutex_);
  return guarded_->Allocate(layout);
}

inline void GuardedAllocator::InnerDeallocate(void* ptr, Layout layout) noexcept {
  if (unguarded_ != nullptr) return unguarded_->Deallocate(ptr, layout);
  const int saved_errno = errno;  // what was made for one thread may have changed it
  {
    const Locked locked(mutex_);
    guarded_->Deallocate(ptr, layout);
  }
  errno = saved_errno;
}

inline bool GuardedAllocator::InnerTryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  if (unguarded_ != nullptr) return unguarded_->TryResize(ptr, layout, new_size);
  const Locked locked(mutex_);
  return guarded_->TryResize(ptr, layout, new_size);
}

Block GuardedAllocator::Allocate(Layout layout) noexcept {
  return counters_.CountAllocated(InnerAllocate(layout), layout.size);
}

void GuardedAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  InnerDeallocate(ptr, layout);
  counters_.EndFree(number, layout.size);
}

bool GuardedAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  if (!InnerTryResize(ptr, layout, new_size)) return false;
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block GuardedAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  Block block;
  if (unguarded_ != nullptr) {
    block = unguarded_->Reallocate(ptr, layout, new_size);
  } else if (InnerTryResize(ptr, layout, new_size)) {
    block = {.ptr = ptr, .size = new_size};
  } else {
    block = InnerAllocate({.size = new_size, .alignment = layout.alignment});
    if (block.ptr != nullptr) {
      std::memcpy(block.ptr, ptr, std::min(layout.size, new_size));
      InnerDeallocate(ptr, layout);
    }
  }
  if (block.ptr == nullptr) {
    counters_.CountFailure(ThreadNumber());
  } else {
    counters_.CountResize(ThreadNumber(), layout.size, new_size);
  }
  return block;
}

AllocatorTraits GuardedAllocator::traits() const noexcept {
  AllocatorTraits traits = inner_.traits();
  if (unguarded_ == nullptr) traits.foreign_free = true;
  traits.thread_safe = true;
  traits.statistics = true;
  return traits;
}

void GuardedAllocator::VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const {
  if (unguarded_ != nullptr) return unguarded_->VisitLive(visit);
  const Locked locked(mutex_);
  guarded_->VisitLive(visit);
}

const AllocatorFactory& guarded::Factory() {
  static constexpr GuardedFactory factory;
  return factory;
}

}  // namespace tenon::alloc
