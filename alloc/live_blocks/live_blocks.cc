#include "tenon/alloc/live_blocks/live_blocks.h"

#ifdef TENON_ALLOC_LIVE_BLOCKS

#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/log/log.h"
#include "tenon/alloc/threads/lock.h"

namespace tenon::alloc {
namespace {

struct Entry {
  const void* ptr = nullptr;  // null where the entry is free
  const void* owner = nullptr;
  Layout layout;
};

// How the block that an allocator was given differs from what is remembered.
enum class Finding { kLive, kUnknown, kOtherLayout, kTwice };

constexpr size_t kShards = 64;
constexpr size_t kStaticEntries = 256;

uint64_t Hash(const void* ptr) {
  // Fibonacci hashing: the high half depends on all bits of the address.
  return (reinterpret_cast<uintptr_t>(ptr) * 0x9e3779b97f4a7c15u) >> 32;
}

// A hash table with linear probing, at most three quarters full.
class Shard {
 public:
  Finding Add(const void* owner, const void* ptr, Layout layout) ABSL_LOCKS_EXCLUDED(lock_) {
    const Locked locked(lock_);
    if (count_ >= capacity_ - capacity_ / 4 && !Rehash(capacity_ * 2)) {
      ++unrecorded_;
      return Finding::kLive;
    }
    Entry* entry = Find(owner, ptr);
    if (entry->ptr != nullptr) return Finding::kTwice;
    *entry = {.ptr = ptr, .owner = owner, .layout = layout};
    ++count_;
    return Finding::kLive;
  }

  // On kOtherLayout, stores what is remembered.
  Finding Check(const void* owner, const void* ptr, Layout layout, bool remove, Layout* recorded)
      ABSL_LOCKS_EXCLUDED(lock_) {
    const Locked locked(lock_);
    Entry* entry = Find(owner, ptr);
    if (entry->ptr == nullptr) {
      if (unrecorded_ == 0) return Finding::kUnknown;
      if (remove) --unrecorded_;
      return Finding::kLive;
    }
    if (entry->layout.size != layout.size || entry->layout.alignment != layout.alignment) {
      *recorded = entry->layout;
      return Finding::kOtherLayout;
    }
    if (remove) {
      Erase(entry);
      Shrink();
    }
    return Finding::kLive;
  }

  void Forget(const void* owner) ABSL_LOCKS_EXCLUDED(lock_) {
    const Locked locked(lock_);
    if (count_ == 0) return;
    // What is erased is replaced by an entry from behind, which has to be looked at in its turn.
    for (size_t i = 0; i < capacity_;) {
      Entry& entry = entries_[i];
      if (entry.ptr != nullptr && entry.owner == owner) {
        Erase(&entry);
      } else {
        ++i;
      }
    }
    Shrink();
  }

  Lock& lock() ABSL_LOCK_RETURNED(lock_) { return lock_; }

 private:
  size_t Home(const void* ptr) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    return (Hash(ptr) / kShards) & (capacity_ - 1);
  }

  // The block's entry, or the free one where it belongs.
  Entry* Find(const void* owner, const void* ptr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    size_t i = Home(ptr);
    while (entries_[i].ptr != nullptr && (entries_[i].ptr != ptr || entries_[i].owner != owner)) {
      i = (i + 1) & (capacity_ - 1);
    }
    return &entries_[i];
  }

  // Closes the gap, so that no search ends early: each entry behind it that may stand there moves.
  void Erase(Entry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    const size_t mask = capacity_ - 1;
    auto gap = static_cast<size_t>(entry - entries_);
    for (size_t i = (gap + 1) & mask; entries_[i].ptr != nullptr; i = (i + 1) & mask) {
      const size_t distance = (i - Home(entries_[i].ptr)) & mask;
      if (distance < ((i - gap) & mask)) continue;
      entries_[gap] = entries_[i];
      gap = i;
    }
    entries_[gap] = {};
    --count_;
  }

  // Back into the static entries where that leaves them at most a quarter full, so that no mapping
  // outlives the blocks that it was made for.
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    if (entries_ != static_.data() && count_ <= kStaticEntries / 4) Rehash(kStaticEntries);
  }

  // False, with nothing changed, where there is no memory.
  bool Rehash(size_t capacity) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    Entry* const old_entries = entries_;
    const size_t old_capacity = capacity_;
    if (capacity == kStaticEntries) {
      entries_ = static_.data();
    } else {
      void* mapping = ::mmap(nullptr, capacity * sizeof(Entry), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (mapping == MAP_FAILED) return false;
      entries_ = static_cast<Entry*>(mapping);  // zeroes, which is what free entries are tested for
    }
    capacity_ = capacity;
    for (size_t i = 0; i < old_capacity; ++i) {
      const Entry& entry = old_entries[i];
      if (entry.ptr != nullptr) *Find(entry.owner, entry.ptr) = entry;
    }
    if (old_entries == static_.data()) {
      static_ = {};
    } else {
      ::munmap(old_entries, old_capacity * sizeof(Entry));
    }
    return true;
  }

  Lock lock_;
  std::array<Entry, kStaticEntries> static_ ABSL_GUARDED_BY(lock_) = {};
  Entry* entries_ ABSL_GUARDED_BY(lock_) = static_.data();
  size_t capacity_ ABSL_GUARDED_BY(lock_) = kStaticEntries;
  size_t count_ ABSL_GUARDED_BY(lock_) = 0;
  // Blocks for which there was no memory. As long as there are any, what is not found may be one.
  size_t unrecorded_ ABSL_GUARDED_BY(lock_) = 0;
};

constinit std::array<Shard, kShards> shards;

void LockAll() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Shard& shard : shards) shard.lock().Acquire();
}

void UnlockAll() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Shard& shard : shards) shard.lock().Release();
}

Shard& ShardOf(const void* ptr) {
  // A child that was forked while another thread held a lock would wait for it forever.
  [[maybe_unused]] static const int registered = ::pthread_atfork(LockAll, UnlockAll, UnlockAll);
  return shards[Hash(ptr) % kShards];
}

void Check(const LiveBlockOwner& owner, const char* operation, const void* ptr, Layout layout,
           bool remove) {
  const int saved_errno = errno;
  Layout recorded;
  const Finding finding = ShardOf(ptr).Check(owner.id, ptr, layout, remove, &recorded);
  errno = saved_errno;
  if (finding == Finding::kUnknown) {
    LOG(FATAL) << owner.name << ": " << operation << " of " << ptr
               << ", which is not live: freed twice, or not allocated here";
  }
  if (finding != Finding::kOtherLayout) return;
  if (recorded.size != layout.size) {
    LOG(FATAL) << owner.name << ": " << operation << " of " << ptr << ", which was allocated with "
               << recorded.size << " bytes, not " << layout.size;
  }
  LOG(FATAL) << owner.name << ": " << operation << " of " << ptr
             << ", which was allocated with alignment " << recorded.alignment << ", not "
             << layout.alignment;
}

}  // namespace

void AddLiveBlock(const LiveBlockOwner& owner, const void* ptr, Layout layout) noexcept {
  const int saved_errno = errno;
  const Finding finding = ShardOf(ptr).Add(owner.id, ptr, layout);
  errno = saved_errno;
  if (finding == Finding::kTwice) {
    LOG(FATAL) << owner.name << ": Allocate is about to return " << ptr << ", which is live";
  }
}

void CheckLiveBlock(const LiveBlockOwner& owner, const char* operation, const void* ptr,
                    Layout layout) noexcept {
  Check(owner, operation, ptr, layout, /*remove=*/false);
}

void RemoveLiveBlock(const LiveBlockOwner& owner, const char* operation, const void* ptr,
                     Layout layout) noexcept {
  Check(owner, operation, ptr, layout, /*remove=*/true);
}

void ForgetLiveBlocks(const LiveBlockOwner& owner) noexcept {
  const int saved_errno = errno;
  for (Shard& shard : shards) shard.Forget(owner.id);
  errno = saved_errno;
}

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_LIVE_BLOCKS
