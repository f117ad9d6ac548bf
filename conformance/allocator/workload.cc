#include "tenon/conformance/allocator/workload.h"

#include <barrier>
#include <utility>

#include "gtest/gtest.h"

namespace tenon::conformance {

HeldBlock BlockExchange::Swap(const HeldBlock& block) {
  // Few enough for blocks to stay in use, many enough to come from elsewhere mostly.
  constexpr size_t kKept = 64;
  const absl::MutexLock lock(&mutex_);
  blocks_.push_back(block);
  if (blocks_.size() <= kKept) return {};
  std::swap(blocks_.back(), blocks_[block.stamp % blocks_.size()]);
  const HeldBlock other = blocks_.back();
  blocks_.pop_back();
  return other;
}

std::vector<HeldBlock> BlockExchange::TakeAll() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(blocks_, {});
}

Workload::Workload(Allocator& allocator, uint64_t seed, WorkloadOptions options)
    : allocator_(allocator), options_(options), random_(seed), next_stamp_(seed << 32 | 1) {}

bool Workload::Run(int steps) {
  for (int i = 0; i < steps; ++i) {
    if (testing::Test::HasFailure()) return false;
    Step();
  }
  return !testing::Test::HasFailure();
}

void Workload::Step() {
  const uint64_t choice = Random(10);
  if (blocks_.empty() || (choice < 5 && blocks_.size() < options_.max_blocks)) return Add();
  std::swap(blocks_.back(), blocks_[Random(blocks_.size())]);
  if (choice == 9) return ResizeOne(blocks_.back());
  HeldBlock block = blocks_.back();
  blocks_.pop_back();
  if (choice == 8 && options_.exchange != nullptr) block = options_.exchange->Swap(block);
  Release(allocator_, block);
}

void Workload::Add() {
  const Layout layout = {.size = RandomSize(), .alignment = size_t{1} << Random(7)};
  const HeldBlock block = Hold(allocator_, layout, next_stamp_++);
  if (block.ptr != nullptr) blocks_.push_back(block);
}

void Workload::ResizeOne(HeldBlock& block) {
  const size_t size = RandomSize();
  Random(2) == 0 ? ResizeInPlace(allocator_, block, size) : Resize(allocator_, block, size);
}

size_t Workload::RandomSize() {
  const uint64_t most = Random(100) == 0 ? options_.max_size * 16 : options_.max_size;
  return Random(most + 1);
}

void Workload::FreeAll() {
  for (HeldBlock& block : blocks_) Release(allocator_, block);
  blocks_.clear();
}

std::vector<HeldBlock> Workload::Abandon() { return std::exchange(blocks_, {}); }

uint64_t Workload::live_bytes() const {
  uint64_t bytes = 0;
  for (const HeldBlock& block : blocks_) bytes += block.layout.size;
  return bytes;
}

void OnThreads(int count, absl::FunctionRef<void(int)> body) {
  std::barrier start(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

Worker::Worker() : thread_([this] { Loop(); }) {}

Worker::~Worker() {
  {
    const absl::MutexLock lock(&mutex_);
    ends_ = true;
  }
  thread_.join();
}

void Worker::Do(absl::FunctionRef<void()> work) {
  const absl::MutexLock lock(&mutex_);
  work_ = &work;
  mutex_.Await(absl::Condition(this, &Worker::IsIdle));
}

void Worker::Loop() {
  const absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(this, &Worker::HasWorkOrEnds));
    if (work_ == nullptr) return;
    (*work_)();
    work_ = nullptr;
  }
}

}  // namespace tenon::conformance
