// What broke WebUI (#507): a tracker of blocks that one thread allocates through while another
// frees through it. With a tracker that knows nothing of threads, guarded, and with what is made
// for it. Nothing here orders the two threads but the queue between them: run it under the thread
// sanitizer.

#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tenon/alloc/arena/arena_allocator.h"
#include "tenon/alloc/concurrent/concurrent_allocator.h"
#include "tenon/alloc/guarded/guarded_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/alloc/tracking/tracking_allocator.h"

namespace tenon::alloc {
namespace {

// WebUI's tracker: a table of what is live, without a lock, and honest about it.
class TrackerOfOneThread final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    const Block block = system_.Allocate(layout);
    if (block.ptr != nullptr) table_[block.ptr] = layout.size;
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (table_.erase(ptr) == 1) system_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override { return {.foreign_free = true}; }

  size_t live() const { return table_.size(); }

 private:
  SystemAllocator system_;
  std::unordered_map<void*, size_t> table_;
};

struct Message {
  unsigned char* text = nullptr;
  Layout layout;
  unsigned char fill = 0;
};

// From the producer to the worker. A message with null text is the last.
class Queue {
 public:
  void Put(Message message) {
    const absl::MutexLock lock(&mutex_);
    messages_.push_back(message);
  }
  Message Take() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Queue::HasMessage));
    const Message message = messages_.front();
    messages_.pop_front();
    return message;
  }

 private:
  bool HasMessage() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !messages_.empty(); }

  absl::Mutex mutex_;
  std::deque<Message> messages_ ABSL_GUARDED_BY(mutex_);
};

Message Make(Allocator& allocator, int number) {
  Message message = {.text = nullptr,
                     .layout = {.size = static_cast<size_t>(number) % 700 + 1},
                     .fill = static_cast<unsigned char>(number)};
  message.text = static_cast<unsigned char*>(allocator.Allocate(message.layout).ptr);
  if (message.text != nullptr) std::memset(message.text, message.fill, message.layout.size);
  return message;
}

// One thread allocates messages, and frees some of them itself; another frees the others.
void HandOff(Allocator& allocator) {
  constexpr int kMessages = 20'000;
  Queue queue;
  int spoilt = 0;
  std::thread worker([&] {
    for (Message got = queue.Take(); got.text != nullptr; got = queue.Take()) {
      const std::string expected(got.layout.size, static_cast<char>(got.fill));
      spoilt += std::memcmp(got.text, expected.data(), expected.size()) == 0 ? 0 : 1;
      allocator.Deallocate(got.text, got.layout);
    }
  });
  int refused = 0;
  for (int i = 0; i < kMessages; ++i) {
    const Message message = Make(allocator, i);
    if (message.text == nullptr) {
      ++refused;
    } else if (i % 8 == 0) {
      allocator.Deallocate(message.text, message.layout);
    } else {
      queue.Put(message);
    }
  }
  queue.Put({});
  worker.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(spoilt, 0) << "messages arrived with other bytes";
  EXPECT_EQ(allocator.Stats().live_blocks, 0u);
  EXPECT_EQ(allocator.Stats().live_bytes, 0u);
  EXPECT_EQ(allocator.Stats().total_blocks, static_cast<uint64_t>(kMessages));
}

TEST(HandOffTest, ATrackerOfOneThreadGuarded) {
  TrackerOfOneThread tracker;
  GuardedAllocator guarded(tracker);
  HandOff(guarded);
  EXPECT_EQ(tracker.live(), 0u) << "blocks that the tracker lost";
}

TEST(HandOffTest, AnArenaGuarded) {
  SystemAllocator system;
  ArenaAllocator arena(system);
  GuardedAllocator guarded(arena);
  HandOff(guarded);
}

TEST(HandOffTest, Concurrent) {
  SystemAllocator system;
  ConcurrentAllocator concurrent(system);
  HandOff(concurrent);
}

TEST(HandOffTest, ConcurrentOverATrackerOfOneThreadGuarded) {
  TrackerOfOneThread tracker;
  GuardedAllocator guarded(tracker);
  {
    ConcurrentAllocator concurrent(guarded);
    HandOff(concurrent);
  }
  EXPECT_EQ(tracker.live(), 0u) << "what concurrent took and did not give back";
}

TEST(HandOffTest, Tracking) {
  SystemAllocator system;
  TrackingAllocator tracking(system);
  HandOff(tracking);
  tracking.VisitLive([](const LiveBlock& block) {
    ADD_FAILURE() << "a block of " << block.size << " bytes is reported as live";
  });
}

}  // namespace
}  // namespace tenon::alloc
