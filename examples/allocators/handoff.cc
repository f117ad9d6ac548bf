// One thread allocates messages, another handles and frees them: what a server does whose network
// thread hands requests to a worker. The allocator is chosen on the command line.

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/alloc/tracking/leak_report.h"
#include "tenon/core/memory/allocation_site.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/runtime/allocator_spec.h"
#include "tenon/runtime/open_allocator.h"

ABSL_FLAG(std::string, alloc, "tracking(concurrent)", "allocator of the messages");
ABSL_FLAG(int, messages, 100'000, "how many messages");
ABSL_FLAG(int, forget, 0, "how many of them the worker forgets to free");

namespace {

using tenon::Allocator;

struct Message {
  size_t size;
  unsigned char bytes[];
};

// Messages on their way from one thread to another, at most a thousand.
class Channel {
 public:
  void Send(Message* message) {
    const size_t sent = sent_.load(std::memory_order_relaxed);
    while (sent - received_.load(std::memory_order_acquire) == slots_.size()) {
      std::this_thread::yield();
    }
    slots_[sent % slots_.size()] = message;
    sent_.store(sent + 1, std::memory_order_release);
  }
  Message* Receive() {
    const size_t received = received_.load(std::memory_order_relaxed);
    while (sent_.load(std::memory_order_acquire) == received) std::this_thread::yield();
    Message* const message = slots_[received % slots_.size()];
    received_.store(received + 1, std::memory_order_release);
    return message;
  }

 private:
  std::array<Message*, 1000> slots_ = {};
  std::atomic<size_t> sent_ = 0;
  std::atomic<size_t> received_ = 0;
};

tenon::Layout LayoutOf(size_t size) {
  return {.size = sizeof(Message) + size, .alignment = alignof(Message)};
}

// Null where there is no memory for it: a quota, say, is used up until the worker frees more.
Message* MakeMessage(Allocator& allocator, int number) {
  const tenon::AllocationSite site;
  const size_t size = 16 + static_cast<size_t>(number) * 37 % 1000;
  const tenon::Block block = allocator.Allocate(LayoutOf(size));
  if (block.ptr == nullptr) return nullptr;
  auto* const message = static_cast<Message*>(block.ptr);
  message->size = size;
  std::memset(message->bytes, number & 0xff, size);
  return message;
}

absl::Status Run() {
  const int messages = absl::GetFlag(FLAGS_messages);
  const int forget = absl::GetFlag(FLAGS_forget);
  absl::StatusOr<tenon::runtime::AllocatorStack> stack =
      tenon::runtime::OpenAllocator(absl::GetFlag(FLAGS_alloc));
  if (!stack.ok()) return stack.status();
  Allocator& allocator = **stack;
  const tenon::AllocatorTraits traits = allocator.traits();
  if (!traits.thread_safe || !traits.foreign_free) {
    return absl::FailedPreconditionError(absl::StrCat(
        absl::GetFlag(FLAGS_alloc), " is for one thread; guarded(…) makes it one for many"));
  }

  Channel channel;
  std::thread worker([&] {
    for (int i = 0; i < messages; ++i) {
      Message* const message = channel.Receive();
      if (i >= forget) allocator.Deallocate(message, LayoutOf(message->size));
    }
  });
  for (int i = 0; i < messages; ++i) {
    Message* message = MakeMessage(allocator, i);
    while (message == nullptr) {
      std::this_thread::yield();
      message = MakeMessage(allocator, i);
    }
    channel.Send(message);
  }
  worker.join();

  const tenon::AllocatorStats stats = allocator.Stats();
  if (traits.statistics) {
    std::cout << stats.total_blocks << " blocks allocated, " << stats.live_blocks << " live, "
              << stats.failures << " refused\n";
  } else {
    std::cout << messages << " messages handed over\n";
  }
  if (stats.live_blocks == 0) return absl::OkStatus();
  if (traits.tracking) std::cout << tenon::alloc::LeakReport::Of(allocator, 3).WriteText();
  return absl::DataLossError(absl::StrCat(stats.live_bytes, " bytes were not freed"));
}

}  // namespace

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      absl::StrCat("hands messages from one thread to another. Allocators:\n",
                   tenon::runtime::DescribeAllocators(tenon::runtime::LinkedAllocators())));
  if (const auto rest = absl::ParseCommandLine(argc, argv); rest.size() > 1) {
    std::cerr << "handoff: unexpected argument \"" << rest[1] << "\"; see --help\n";
    return 1;
  }
  const absl::Status status = Run();
  if (status.ok()) return 0;
  std::cerr << "handoff: " << status.message() << "\n";
  return 1;
}
