#include "tenon/alloc/poison/poison_allocator.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/alloc/generation/generation.h"
#include "tenon/alloc/poison/sanitizer.h"
#include "tenon/core/memory/allocation_site.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::alloc {

// Stands in front of the red zone that is in front of the block.
struct alignas(std::max_align_t) PoisonAllocator::Header {
  // The next younger one in quarantine.
  Header* next = nullptr;
  char* block = nullptr;
  Layout layout;
  uint64_t number = 0;
  std::source_location site;
  // One that frees a block sets it, so that of two threads that do at once, one notices.
  std::atomic<uint64_t> magic{0};
};

namespace {

constexpr uint64_t kLiveMagic = 0x706f69736f6e2b2b;
constexpr uint64_t kFreedMagic = 0x706f69736f6e2d2d;
constexpr size_t kGranule = alignof(std::max_align_t);
constexpr size_t kMaxRedZone = size_t{1} << 20;

constexpr AllocatorOption kOptions[] = {
    {.name = "red_zone",
     .kind = AllocatorOption::Kind::kSize,
     .summary = "bytes in front of and behind each block that are watched",
     .default_value = "16"},
    {.name = "quarantine",
     .kind = AllocatorOption::Kind::kSize,
     .summary = "bytes of freed blocks that are withheld and watched",
     .default_value = "1MiB"},
};

class PoisonFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "poison"; }
  absl::string_view summary() const noexcept override {
    return "finds writes outside of blocks and into freed ones; adds statistics";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    PoisonOptions options;
    options.red_zone = config.options[0].number;
    options.quarantine = config.options[1].number;
    if (options.red_zone > kMaxRedZone) {
      return StatusOf(absl::StatusCode::kInvalidArgument, "red_zone is more than 1MiB");
    }
    return MakeAllocator<PoisonAllocator>(config.memory, *config.inner, options);
  }
};

size_t RoundUp(size_t size, size_t alignment) { return (size + alignment - 1) & ~(alignment - 1); }

// The first of `size` bytes that is not `expected`; null where all are.
const char* FindOther(const char* bytes, size_t size, unsigned char expected) {
  const char* const end = bytes + size;
  const char* const found = std::find_if(
      bytes, end, [=](char byte) { return static_cast<unsigned char>(byte) != expected; });
  return found == end ? nullptr : found;
}

const char* KindText(PoisonReport::Kind kind) {
  switch (kind) {
    case PoisonReport::Kind::kOverrun:
      return "bytes behind it were written";
    case PoisonReport::Kind::kUnderrun:
      return "bytes in front of it were written";
    case PoisonReport::Kind::kWriteAfterFree:
      return "it was written after it had been freed";
    case PoisonReport::Kind::kDoubleFree:
      return "it was freed before";
    case PoisonReport::Kind::kWrongLayout:
      return "it was allocated with another size or alignment";
    case PoisonReport::Kind::kUnknownBlock:
      return "it was not allocated here, or what stands far in front of it was overwritten";
  }
  return "";
}

}  // namespace

std::string PoisonReport::Text() const {
  std::string text = absl::StrFormat("poison: %s of %p: %s", operation, ptr, KindText(kind));
  if (kind == Kind::kUnknownBlock) return text;
  if (kind == Kind::kWrongLayout) {
    absl::StrAppend(&text, ", not with ", given.size, " bytes aligned to ", given.alignment);
  } else if (kind != Kind::kDoubleFree) {
    absl::StrAppend(&text, ", first the one at offset ", offset);
  }
  absl::StrAppend(&text, "; it is allocation ", number, ", of ", layout.size, " bytes aligned to ",
                  layout.alignment);
  if (site.line() != 0) absl::StrAppend(&text, ", from ", site.file_name(), ":", site.line());
  return text;
}

PoisonAllocator::PoisonAllocator(Allocator& inner, const PoisonOptions& options)
    : inner_(inner),
      options_(options),
      red_zone_(RoundUp(std::clamp(options.red_zone, kGranule, kMaxRedZone), kGranule)),
      generation_(DrawGeneration()) {}

PoisonAllocator::~PoisonAllocator() {
  counters_.WaitForFrees();
  FlushQuarantine();
}

size_t PoisonAllocator::PrefixBytes(size_t alignment) const {
  return RoundUp(sizeof(Header) + red_zone_, std::max(alignment, kGranule));
}

// REQUIRES: that does not overflow.
Layout PoisonAllocator::InnerLayout(Layout layout) const {
  return {.size = PrefixBytes(layout.alignment) + layout.size + red_zone_,
          .alignment = std::max(layout.alignment, kGranule)};
}

PoisonAllocator::Header* PoisonAllocator::HeaderOf(void* ptr) const {
  return reinterpret_cast<Header*>(static_cast<char*>(ptr) - red_zone_) - 1;
}

// Differs from block to block and from allocator to allocator, also from one that was at the same
// address before.
uint64_t PoisonAllocator::MagicOf(const Header* header, uint64_t state) const {
  return state ^ reinterpret_cast<uintptr_t>(header) ^ generation_;
}

void PoisonAllocator::Report(PoisonReport report, const Header* header) const {
  if (header != nullptr) {
    report.layout = header->layout;
    report.number = header->number;
    report.site = header->site;
  }
  if (options_.handler == nullptr) LOG(FATAL) << report.Text();
  options_.handler(options_.context, report);
}

PoisonAllocator::Header* PoisonAllocator::Verify(const char* operation, void* ptr,
                                                 Layout given) const {
  Header* const header = HeaderOf(ptr);
  PoisonReport report;
  report.operation = operation;
  report.ptr = ptr;
  report.given = given;
  const uint64_t magic = header->magic.load(std::memory_order_relaxed);
  if (magic == MagicOf(header, kFreedMagic) && header->block == ptr) {
    report.kind = PoisonReport::Kind::kDoubleFree;
    Report(report, header);
    return nullptr;
  }
  if (magic != MagicOf(header, kLiveMagic) || header->block != ptr) {
    report.kind = PoisonReport::Kind::kUnknownBlock;
    Report(report, nullptr);
    return nullptr;
  }
  if (given.size != header->layout.size || given.alignment != header->layout.alignment) {
    report.kind = PoisonReport::Kind::kWrongLayout;
    Report(report, header);
  }
  CheckRedZones(operation, header);
  return header;
}

void PoisonAllocator::CheckRedZones(const char* operation, const Header* header) const {
  const char* const block = header->block;
  const char* const rear = block + header->layout.size;
  UnpoisonMemory(block - red_zone_, red_zone_);
  UnpoisonMemory(rear, red_zone_);
  PoisonReport report;
  report.operation = operation;
  report.ptr = block;
  report.given = header->layout;
  if (const char* found = FindOther(block - red_zone_, red_zone_, kRedZoneByte)) {
    report.kind = PoisonReport::Kind::kUnderrun;
    report.offset = found - block;
    Report(report, header);
  }
  if (const char* found = FindOther(rear, red_zone_, kRedZoneByte)) {
    report.kind = PoisonReport::Kind::kOverrun;
    report.offset = found - block;
    Report(report, header);
  }
  PoisonMemory(block - red_zone_, red_zone_);
  PoisonMemory(rear, red_zone_);
}

void PoisonAllocator::CheckFreed(Header* header) const {
  const char* const block = header->block;
  const size_t size = header->layout.size;
  UnpoisonMemory(block - red_zone_, red_zone_ + size + red_zone_);
  const char* found = FindOther(block - red_zone_, red_zone_, kRedZoneByte);
  if (found == nullptr) found = FindOther(block, size, kFreedByte);
  if (found == nullptr) found = FindOther(block + size, red_zone_, kRedZoneByte);
  if (found == nullptr) return;
  PoisonReport report;
  report.kind = PoisonReport::Kind::kWriteAfterFree;
  report.operation = "End of quarantine";
  report.ptr = block;
  report.given = header->layout;
  report.offset = found - block;
  Report(report, header);
}

Block PoisonAllocator::AllocateInner(Layout layout) noexcept {
  const size_t prefix = PrefixBytes(layout.alignment);
  // Of which the red zone is the smaller part, so that the sum of all three cannot overflow.
  if (layout.size > std::numeric_limits<size_t>::max() - prefix - red_zone_) return {};
  const Layout inner_layout = InnerLayout(layout);
  Block block = inner_.Allocate(inner_layout);
  if (block.ptr == nullptr && Shorten(0)) block = inner_.Allocate(inner_layout);
  return block;
}

// Fills what is new since the block had `old_size` bytes.
void PoisonAllocator::PrepareBlock(Header* header, size_t old_size) noexcept {
  char* const block = header->block;
  const size_t size = header->layout.size;
  UnpoisonMemory(block - red_zone_, red_zone_ + size + red_zone_);
  std::memset(block - red_zone_, kRedZoneByte, red_zone_);
  if (size > old_size) std::memset(block + old_size, kNewByte, size - old_size);
  std::memset(block + size, kRedZoneByte, red_zone_);
  PoisonMemory(block - red_zone_, red_zone_);
  PoisonMemory(block + size, red_zone_);
}

Block PoisonAllocator::Allocate(Layout layout) noexcept {
  const Block block = AllocateInner(layout);
  if (block.ptr == nullptr) {
    counters_.CountFailure(ThreadNumber());
    return {};
  }
  char* const ptr = static_cast<char*>(block.ptr) + PrefixBytes(layout.alignment);
  auto* const header = ::new (HeaderOf(ptr)) Header;
  header->block = ptr;
  header->layout = layout;
  header->number = numbers_.fetch_add(1, std::memory_order_relaxed) + 1;
  header->site = AllocationSite::Current();
  header->magic.store(MagicOf(header, kLiveMagic), std::memory_order_relaxed);
  PrepareBlock(header, 0);
  counters_.CountAllocation(ThreadNumber(), layout.size);
  return {.ptr = ptr, .size = layout.size};
}

void PoisonAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  Header* const header = Verify("Deallocate", ptr, layout);
  const size_t size = header != nullptr ? header->layout.size : 0;
  if (header != nullptr && Free(header)) {
    counters_.EndFree(number, size);
  } else {
    counters_.AbandonFree(number);
  }
}

bool PoisonAllocator::Free(Header* header) noexcept {
  uint64_t magic = MagicOf(header, kLiveMagic);
  if (!header->magic.compare_exchange_strong(magic, MagicOf(header, kFreedMagic),
                                             std::memory_order_relaxed)) {
    PoisonReport report;
    report.kind = PoisonReport::Kind::kDoubleFree;
    report.operation = "Deallocate";
    report.ptr = header->block;
    report.given = header->layout;
    Report(report, header);
    return false;
  }
  const size_t size = header->layout.size;
  UnpoisonMemory(header->block - red_zone_, red_zone_ + size + red_zone_);
  std::memset(header->block, kFreedByte, size);
  const size_t inner_size = InnerLayout(header->layout).size;
  if (inner_size > options_.quarantine) {
    GiveBack(header);
    return true;
  }
  // What was found in the red zones has been reported, and is not to be again.
  std::memset(header->block - red_zone_, kRedZoneByte, red_zone_);
  std::memset(header->block + size, kRedZoneByte, red_zone_);
  PoisonMemory(header->block - red_zone_, red_zone_ + size + red_zone_);
  {
    const Locked locked(mutex_);
    (newest_ != nullptr ? newest_->next : oldest_) = header;
    newest_ = header;
    withheld_ += inner_size;
  }
  Shorten(options_.quarantine);
  return true;
}

void PoisonAllocator::GiveBack(Header* header) noexcept {
  const Layout layout = header->layout;
  inner_.Deallocate(header->block - PrefixBytes(layout.alignment), InnerLayout(layout));
}

bool PoisonAllocator::Shorten(size_t limit) noexcept {
  for (bool any = false;; any = true) {
    Header* header = nullptr;
    {
      const Locked locked(mutex_);
      if (withheld_ <= limit) return any;
      header = oldest_;
      oldest_ = header->next;
      if (oldest_ == nullptr) newest_ = nullptr;
      withheld_ -= InnerLayout(header->layout).size;
    }
    CheckFreed(header);
    GiveBack(header);
  }
}

bool PoisonAllocator::ResizeInPlace(Header* header, size_t new_size) noexcept {
  const Layout layout = header->layout;
  const size_t prefix = PrefixBytes(layout.alignment);
  if (new_size > std::numeric_limits<size_t>::max() - prefix - red_zone_) return false;
  // What the inner allocator takes back, it gets unpoisoned.
  UnpoisonMemory(header->block + layout.size, red_zone_);
  const bool resized =
      inner_.TryResize(header->block - prefix, InnerLayout(layout), prefix + new_size + red_zone_);
  if (resized) {
    header->layout.size = new_size;
    counters_.CountResize(ThreadNumber(), layout.size, new_size);
  }
  PrepareBlock(header, layout.size);
  return resized;
}

bool PoisonAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = Verify("TryResize", ptr, layout);
  return header != nullptr && ResizeInPlace(header, new_size);
}

Block PoisonAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = Verify("Reallocate", ptr, layout);
  if (header == nullptr) {
    counters_.CountFailure(ThreadNumber());
    return {};
  }
  if (ResizeInPlace(header, new_size)) return {.ptr = ptr, .size = new_size};
  const size_t old_size = header->layout.size;
  const Block moved = Allocate({.size = new_size, .alignment = header->layout.alignment});
  if (moved.ptr == nullptr) return {};
  std::memcpy(moved.ptr, ptr, std::min(old_size, new_size));
  if (Free(header)) counters_.CountFree(ThreadNumber(), old_size);
  return moved;
}

AllocatorTraits PoisonAllocator::traits() const noexcept {
  AllocatorTraits traits = inner_.traits();
  traits.tracking = false;
  traits.exact_quota = false;
  // A live block's red zones remain poisoned: there is no list by which a destructor could find
  // them, and the inner allocator may hand that memory out again without unpoisoning it.
  if (kPoisonsMemory) traits.bulk_release = false;
  traits.statistics = true;
  return traits;
}

const AllocatorFactory& poison::Factory() {
  static constexpr PoisonFactory factory;
  return factory;
}

}  // namespace tenon::alloc
