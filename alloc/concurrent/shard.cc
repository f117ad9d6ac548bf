#include "tenon/alloc/concurrent/shard.h"

#include <algorithm>
#include <new>

namespace tenon::alloc::concurrent {

void Shard::Link(Slab*& list, Slab& slab) noexcept {
  slab.previous = nullptr;
  slab.next = list;
  if (list != nullptr) list->previous = &slab;
  list = &slab;
}

void Shard::Unlink(Slab*& list, Slab& slab) noexcept {
  if (slab.next != nullptr) slab.next->previous = slab.previous;
  (slab.previous != nullptr ? slab.previous->next : list) = slab.next;
}

void* Shard::Cut(Slab& slab) noexcept {
  if (slab.uncut == slab.end) {
    char* const header = reinterpret_cast<char*>(&slab);
    if (slab.uncut > header) return nullptr;
    // In front of the header all is cut; on to what is behind it, which is a block at least.
    char* const start = slab.start();
    const size_t alignment = ClassAlignment(slab.size_class);
    const auto header_end = static_cast<size_t>(header + sizeof(Slab) - start);
    const size_t first = (header_end + alignment - 1) & ~(alignment - 1);
    slab.uncut = start + first;
    slab.end = slab.uncut + (slab.bytes - first) / slab.block_size * slab.block_size;
  }
  void* const block = slab.uncut;
  slab.uncut += slab.block_size;
  ++slab.used;
  return block;
}

void* Shard::Take(Slab& slab) noexcept {
  FreeBlock* const block = slab.free;
  if (block == nullptr) return Cut(slab);
  slab.free = block->next;
  ++slab.used;
  return block;
}

void Shard::Push(Slab& slab, void* ptr) noexcept {
  auto* const block = static_cast<FreeBlock*>(ptr);
  block->next = slab.free;
  slab.free = block;
  if (slab.state == Slab::State::kFull) {
    slab.state = Slab::State::kPartial;
    Link(partial_[slab.size_class], slab);
  }
  if (--slab.used == 0) RetireUnlessCurrent(slab);
}

void* Shard::AllocateFromSlab(uint32_t size_class) noexcept {
  void* const block = TryAllocateFromSlab(size_class);
  if (block != nullptr || !GiveBackEmpty()) return block;
  return TryAllocateFromSlab(size_class);
}

void* Shard::TryAllocateFromSlab(uint32_t size_class) noexcept {
  Slab*& current = current_[size_class];
  if (current != nullptr) {
    void* const block = Take(*current);
    if (block != nullptr) return block;
  }
  TakeBackRemote();
  if (current != nullptr) {
    void* const block = Take(*current);
    if (block != nullptr) return block;
  }
  Slab*& partial = partial_[size_class];
  Slab* next = partial;
  if (next != nullptr) {
    Unlink(partial, *next);
  } else {
    next = NewSlab(size_class);
    if (next == nullptr) return nullptr;
  }
  // Full slabs are in no list, so that nobody ever looks through them (ALC-14).
  if (current != nullptr) current->state = Slab::State::kFull;
  next->state = Slab::State::kCurrent;
  current = next;
  return Take(*current);
}

void Shard::RetireUnlessCurrent(Slab& slab) noexcept {
  if (slab.state == Slab::State::kCurrent) return;
  if (slab.state == Slab::State::kPartial) Unlink(partial_[slab.size_class], slab);
  Retire(slab);
}

void Shard::ForgetLastFreedOf(const Slab& slab) noexcept {
  LastFreed& last_freed = last_freed_[slab.size_class];
  for (FreeBlock** link = &last_freed.first; *link != nullptr;) {
    if (SlabOf(*link, slab.size_class) == &slab) {
      *link = (*link)->next;
      --last_freed.count;
    } else {
      link = &(*link)->next;
    }
  }
}

bool Shard::GiveBackEmpty() noexcept {
  bool found = TakeBackRemote();
  for (Slab*& current : current_) {
    if (current == nullptr || current->used > 0) continue;
    Slab& slab = *current;
    current = nullptr;
    ForgetLastFreedOf(slab);
    GiveBack(slab);
    found = true;
  }
  for (Slab*& kept : kept_) {
    while (kept != nullptr) {
      Slab& slab = *kept;
      Unlink(kept, slab);
      kept_bytes_ -= slab.bytes;
      GiveBack(slab);
      found = true;
    }
  }
  return found;
}

void Shard::FreeRemote(Slab& slab, void* ptr) noexcept {
  auto* const block = static_cast<FreeBlock*>(ptr);
  block->slab = &slab;
  FreeBlock* head = remote_.load(std::memory_order_relaxed);
  do {
    block->next = head;
  } while (!remote_.compare_exchange_weak(head, block, std::memory_order_release,
                                          std::memory_order_relaxed));
}

bool Shard::TakeBackRemote() noexcept {
  if (remote_.load(std::memory_order_relaxed) == nullptr) return false;
  FreeBlock* block = remote_.exchange(nullptr, std::memory_order_acquire);
  while (block != nullptr) {
    FreeBlock* const next = block->next;
    Push(*block->slab, block);
    block = next;
  }
  return true;
}

Slab* Shard::NewSlab(uint32_t size_class) noexcept {
  const size_t bytes = SlabBytes(size_class);
  Slab*& kept = Kept(bytes);
  Slab* slab = kept;
  if (slab != nullptr) {
    Unlink(kept, *slab);
    kept_bytes_ -= bytes;
  } else {
    const Block block = backing_.Allocate({.size = bytes, .alignment = bytes});
    if (block.ptr == nullptr) return nullptr;
    void* const header =
        static_cast<char*>(block.ptr) + SlabOffset(reinterpret_cast<uintptr_t>(block.ptr));
    slab = ::new (header) Slab{.owner = this, .bytes = bytes, .next_of_all = all_};
    if (all_ != nullptr) all_->previous_of_all = slab;
    all_ = slab;
  }
  const size_t block_size = ClassSize(size_class);
  slab->block_size = block_size;
  slab->size_class = size_class;
  slab->free = nullptr;
  slab->uncut = slab->start();
  const auto in_front = static_cast<size_t>(reinterpret_cast<char*>(slab) - slab->uncut);
  slab->end = slab->uncut + in_front / block_size * block_size;
  return slab;
}

void Shard::Retire(Slab& slab) noexcept {
  ForgetLastFreedOf(slab);
  if (slab.bytes > kept_limit_ - std::min(kept_limit_, kept_bytes_)) return GiveBack(slab);
  slab.state = Slab::State::kEmpty;
  Link(Kept(slab.bytes), slab);
  kept_bytes_ += slab.bytes;
}

void Shard::GiveBack(Slab& slab) noexcept {
  if (slab.next_of_all != nullptr) slab.next_of_all->previous_of_all = slab.previous_of_all;
  (slab.previous_of_all != nullptr ? slab.previous_of_all->next_of_all : all_) = slab.next_of_all;
  backing_.Deallocate(slab.start(), {.size = slab.bytes, .alignment = slab.bytes});
}

void Shard::ReleaseAll() noexcept {
  while (all_ != nullptr) {
    Slab* const slab = all_;
    all_ = slab->next_of_all;
    backing_.Deallocate(slab->start(), {.size = slab->bytes, .alignment = slab->bytes});
  }
  large_.FreeAll();
}

}  // namespace tenon::alloc::concurrent
