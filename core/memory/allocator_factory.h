// How an allocator is named, configured and made.

#ifndef TENON_CORE_MEMORY_ALLOCATOR_FACTORY_H_
#define TENON_CORE_MEMORY_ALLOCATOR_FACTORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon {

// Something that a deployment may say of an allocator, as in "quota(64MiB, jemalloc)" or
// "fault(nth=3, system)".
struct AllocatorOption {
  enum class Kind {
    kSize,         // bytes, such as 4096, 64KiB, 1GiB
    kCount,        // a whole number
    kProbability,  // 0 to 1
    kSwitch,       // on or off
  };

  // Lower case, digits, underscores.
  absl::string_view name;
  Kind kind = Kind::kCount;
  // For --help: a phrase.
  absl::string_view summary;
  // What holds where nothing is said, as it would be written; "" where something must be said.
  absl::string_view default_value = "";
};

// The value of an option.
struct AllocatorOptionValue {
  uint64_t number = 0;       // kSize, kCount; 0 or 1 for kSwitch
  double probability = 0.0;  // kProbability
};

// What a new allocator is made of.
struct AllocatorConfig {
  // One for each of the factory's options(), in that order.
  absl::Span<const AllocatorOptionValue> options = {};
  // What a decorator decorates, which outlives it; null for what is none.
  Allocator* inner = nullptr;
  // Where the allocator object itself lives; outlives it.
  Allocator& memory;
};

// Makes allocators of one kind. Stateless; one constant object for each kind, with static lifetime.
//
// Threads: any.
class AllocatorFactory {
 public:
  // The name by which deployments choose it, such as "jemalloc". Lower case, digits, underscores.
  virtual absl::string_view name() const noexcept = 0;

  // For --help: one sentence.
  virtual absl::string_view summary() const noexcept = 0;

  // What can be said of it, in the order in which values without names are taken. Static lifetime.
  virtual absl::Span<const AllocatorOption> options() const noexcept { return {}; }

  // Whether it adds to another allocator, which is then the last of its arguments.
  virtual bool decorates() const noexcept { return false; }

  // Whether it can run in this process, now: OK, or a status that says what is missing.
  virtual absl::Status Probe() const noexcept { return absl::OkStatus(); }

  // Makes an allocator. ResourceExhausted without a message where there is no memory;
  // InvalidArgument, naming the option but not the allocator, for a value that it cannot work with;
  // either with nothing left behind.
  // REQUIRES: `config` has a value for each option, and an inner allocator exactly if decorates().
  virtual absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept = 0;

 protected:
  ~AllocatorFactory() = default;
};

namespace runtime {

// The allocators linked into this binary, in the order of their set (//:allocators). Defined by the
// target that tenon_allocator_set generates; two sets in one binary do not link.
absl::Span<const AllocatorFactory* const> LinkedAllocators();

}  // namespace runtime
}  // namespace tenon

#endif  // TENON_CORE_MEMORY_ALLOCATOR_FACTORY_H_
