#include "tenon/alloc/tracking/tracking_allocator.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <new>
#include <string>

#include "absl/debugging/stacktrace.h"
#include "absl/log/log.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/alloc/generation/generation.h"
#include "tenon/alloc/threads/thread_number.h"
#include "tenon/alloc/tracking/leak_report.h"
#include "tenon/core/memory/allocation_site.h"

namespace tenon::alloc {

// Stands immediately in front of the block; in front of it, where it has one, the stack.
struct alignas(std::max_align_t) TrackingAllocator::Header {
  Header* previous = nullptr;
  Header* next = nullptr;
  size_t size = 0;
  uint64_t number = 0;
  std::source_location site;
  // Wide enough to leave no padding at the end.
  uint32_t shard = 0;
  uint32_t alignment_bits = 0;
  uint32_t has_stack = 0;
  uint32_t stack_depth = 0;
  // Last, so that what is written in front of a block is noticed here.
  uint64_t magic = 0;
};

namespace {

constexpr uint64_t kLiveMagic = 0x6c6976652d626c6b;
constexpr uint64_t kFreedMagic = 0x66726565642d6267;
constexpr size_t kMaxStack = 32;
constexpr size_t kStackBytes = kMaxStack * sizeof(void*);
// How many numbers a shard draws at once.
constexpr uint64_t kNumberBatch = 64;

constexpr AllocatorOption kOptions[] = {
    {.name = "stacks",
     .kind = AllocatorOption::Kind::kCount,
     .summary = "one allocation in so many records its stack; 0 is none",
     .default_value = "0"},
    {.name = "report",
     .kind = AllocatorOption::Kind::kSwitch,
     .summary = "whether to log what is still live at the end",
     .default_value = "off"},
};

class TrackingFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "tracking"; }
  absl::string_view summary() const noexcept override {
    return "knows every live block and where it was allocated, for leak reports; adds statistics";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    const TrackingOptions options{.stacks = config.options[0].number,
                                  .report = config.options[1].number != 0};
    return MakeAllocator<TrackingAllocator>(config.memory, *config.inner, options);
  }
};

// From the start of the inner allocator's block to the start of ours; a multiple of `alignment`.
size_t PrefixBytes(size_t header_bytes, size_t alignment, bool has_stack) {
  const size_t bytes = header_bytes + (has_stack ? kStackBytes : 0);
  return (bytes + alignment - 1) & ~(alignment - 1);
}

size_t InnerAlignment(size_t alignment) { return std::max(alignment, alignof(std::max_align_t)); }

}  // namespace

TrackingAllocator::TrackingAllocator(Allocator& inner, const TrackingOptions& options)
    : inner_(inner), options_(options), generation_(DrawGeneration()) {}

TrackingAllocator::~TrackingAllocator() {
  counters_.WaitForFrees();
  if (!options_.report) return;
  const LeakReport report = LeakReport::Of(*this);
  if (report.live_blocks() == 0) return;
  // Line by line, as there is a limit to what is logged at once.
  const std::string text = report.WriteText();
  absl::string_view prefix = "tracking: at its end, ";
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    LOG(ERROR) << prefix << line;
    prefix = "tracking: ";
  }
}

inline Layout TrackingAllocator::InnerLayout(const Header& header) {
  const size_t alignment = InnerAlignment(size_t{1} << header.alignment_bits);
  return {.size = PrefixBytes(sizeof(Header), alignment, header.has_stack != 0) + header.size,
          .alignment = alignment};
}

// Differs from block to block and from allocator to allocator, also from one that was at the same
// address before, so that no copy passes for a header.
inline uint64_t TrackingAllocator::MagicOf(const Header* header) const {
  static_assert(offsetof(Header, magic) + sizeof(Header::magic) == sizeof(Header));
  return kLiveMagic ^ reinterpret_cast<uintptr_t>(header) ^ generation_;
}

inline TrackingAllocator::Finding TrackingAllocator::Judge(const Header* header) const {
  if (header->magic == MagicOf(header)) return Finding::kLive;
  return header->magic == kFreedMagic ? Finding::kFreed : Finding::kForeign;
}

// Not inlined, so that looking for a mistake costs no more than the comparison.
[[gnu::noinline]] void TrackingAllocator::DieOf(const char* operation, const void* ptr,
                                                Finding finding) const {
  LOG(FATAL) << "tracking: " << operation << " of " << ptr
             << (finding == Finding::kFreed
                     ? ", which was freed before"
                     : ", which was not allocated here, or what stands before it was overwritten");
}

[[gnu::noinline]] void TrackingAllocator::DieOfLayout(const char* operation, const Header& header,
                                                      Layout layout) {
  LOG(FATAL) << "tracking: " << operation << " of " << static_cast<const void*>(&header + 1)
             << " with " << layout.size << " bytes aligned to " << layout.alignment
             << "; allocation " << header.number << " at " << header.site.file_name() << ":"
             << header.site.line() << " has " << header.size << " aligned to "
             << (size_t{1} << header.alignment_bits);
}

inline TrackingAllocator::Header* TrackingAllocator::Find(const char* operation, void* ptr,
                                                          Layout layout) const {
  Header* const header = static_cast<Header*>(ptr) - 1;
  const Finding finding = Judge(header);
  if (finding != Finding::kLive) [[unlikely]]
    DieOf(operation, ptr, finding);
  const size_t alignment = size_t{1} << header->alignment_bits;
  if (header->size != layout.size || alignment != layout.alignment) [[unlikely]] {
    DieOfLayout(operation, *header, layout);
  }
  return header;
}

bool TrackingAllocator::TakesStack(Shard* shard) noexcept {
  const uint64_t since = shard->since_stack.load(std::memory_order_relaxed) + 1;
  const bool takes = since >= options_.stacks;
  shard->since_stack.store(takes ? 0 : since, std::memory_order_relaxed);
  return takes;
}

inline void TrackingAllocator::Link(Header* header) noexcept {
  Shard& shard = shards_[header->shard];
  const Locked locked(shard.mutex);
  if (header->number == 0) {
    if (shard.next_number == shard.end_number) {
      shard.next_number = numbers_.fetch_add(kNumberBatch, std::memory_order_relaxed);
      shard.end_number = shard.next_number + kNumberBatch;
    }
    header->number = shard.next_number++;
  }
  header->magic = MagicOf(header);
  header->previous = nullptr;
  header->next = shard.first;
  if (shard.first != nullptr) shard.first->previous = header;
  shard.first = header;
}

inline bool TrackingAllocator::Unlink(Header* header) noexcept {
  Shard& shard = shards_[header->shard];
  const Locked locked(shard.mutex);
  if (header->magic != MagicOf(header)) return false;
  header->magic = kFreedMagic;
  (header->previous != nullptr ? header->previous->next : shard.first) = header->next;
  if (header->next != nullptr) header->next->previous = header->previous;
  return true;
}

Block TrackingAllocator::Allocate(Layout layout) noexcept {
  const uint32_t number = ThreadNumber();
  const auto shard = static_cast<uint32_t>(number % shards_.size());
  const bool has_stack = options_.stacks != 0 && TakesStack(&shards_[shard]);
  const size_t alignment = InnerAlignment(layout.alignment);
  const size_t prefix = PrefixBytes(sizeof(Header), alignment, has_stack);
  Block block;
  if (layout.size <= std::numeric_limits<size_t>::max() - prefix) {
    block = inner_.Allocate({.size = prefix + layout.size, .alignment = alignment});
  }
  if (block.ptr == nullptr) {
    counters_.CountFailure(number);
    return {};
  }
  char* const ptr = static_cast<char*>(block.ptr) + prefix;
  auto* const header = ::new (ptr - sizeof(Header)) Header;
  header->size = layout.size;
  header->site = AllocationSite::Current();
  header->shard = shard;
  header->alignment_bits = static_cast<uint32_t>(std::countr_zero(layout.alignment));
  header->has_stack = has_stack ? 1 : 0;
  if (has_stack) {
    auto** const stack = reinterpret_cast<void**>(ptr - sizeof(Header) - kStackBytes);
    header->stack_depth = static_cast<uint32_t>(absl::GetStackTrace(stack, kMaxStack, 0));
  }
  Link(header);
  counters_.CountAllocation(number, layout.size);
  return {.ptr = ptr, .size = layout.size};
}

void TrackingAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  Header* const header = Find("Deallocate", ptr, layout);
  const Layout inner_layout = InnerLayout(*header);
  if (!Unlink(header)) DieOf("Deallocate", ptr, Finding::kFreed);
  inner_.Deallocate(static_cast<char*>(ptr) - (inner_layout.size - layout.size), inner_layout);
  counters_.EndFree(number, layout.size);
}

bool TrackingAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = Find("TryResize", ptr, layout);
  const Layout inner_layout = InnerLayout(*header);
  const size_t prefix = inner_layout.size - layout.size;
  if (new_size > std::numeric_limits<size_t>::max() - prefix) return false;
  if (!inner_.TryResize(static_cast<char*>(ptr) - prefix, inner_layout, prefix + new_size)) {
    return false;
  }
  Shard& shard = shards_[header->shard];
  {
    const Locked locked(shard.mutex);
    header->size = new_size;
  }
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block TrackingAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = Find("Reallocate", ptr, layout);
  const Layout inner_layout = InnerLayout(*header);
  const size_t prefix = inner_layout.size - layout.size;
  if (new_size > std::numeric_limits<size_t>::max() - prefix) {
    counters_.CountFailure(ThreadNumber());
    return {};
  }
  // Its neighbours must not point to it while it moves.
  if (!Unlink(header)) DieOf("Reallocate", ptr, Finding::kFreed);
  const Block block =
      inner_.Reallocate(static_cast<char*>(ptr) - prefix, inner_layout, prefix + new_size);
  if (block.ptr == nullptr) {
    Link(header);
    counters_.CountFailure(ThreadNumber());
    return {};
  }
  char* const moved = static_cast<char*>(block.ptr) + prefix;
  auto* const moved_header = reinterpret_cast<Header*>(moved) - 1;
  moved_header->size = new_size;
  Link(moved_header);
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return {.ptr = moved, .size = new_size};
}

AllocatorTraits TrackingAllocator::traits() const noexcept {
  AllocatorTraits traits = inner_.traits();
  traits.tracking = true;
  traits.statistics = true;
  traits.exact_quota = false;
  return traits;
}

void TrackingAllocator::VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const {
  for (const Shard& shard : shards_) {
    const Locked locked(shard.mutex);
    for (const Header* header = shard.first; header != nullptr; header = header->next) {
      LiveBlock block;
      block.ptr = header + 1;
      block.size = header->size;
      block.number = header->number;
      block.site = header->site;
      if (header->has_stack != 0) {
        const auto* start = reinterpret_cast<const char*>(header) - kStackBytes;
        block.stack = {reinterpret_cast<void* const*>(start), header->stack_depth};
      }
      visit(block);
    }
  }
}

const AllocatorFactory& tracking::Factory() {
  static constexpr TrackingFactory factory;
  return factory;
}

}  // namespace tenon::alloc
