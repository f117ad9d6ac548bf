// The text by which a deployment says what allocator it wants, read.

#ifndef TENON_RUNTIME_ALLOCATOR_SPEC_H_
#define TENON_RUNTIME_ALLOCATOR_SPEC_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::runtime {

// One allocator of a spec, with a value for each option of its factory.
struct AllocatorLayer {
  const AllocatorFactory* factory = nullptr;
  std::vector<AllocatorOptionValue> options = {};
  // Where its name is in the text.
  size_t position = 0;
};

// A read spec: allocators, each decorating the next.
//
//   spec      = name [ "(" [ argument { "," argument } ] ")" ]
//   argument  = [ option "=" ] value | spec
//
// A value without a name is that of the first option which has none yet. The spec of what is
// decorated comes last and may be left out. Blanks count for nothing.
// Values are written as
//
//   size         4096, 64KiB, 512MiB, 1GiB
//   count        3
//   probability  0.01
//   switch       on, off
//
// An example: tracking(quota(64MiB, jemalloc)).
class AllocatorSpec {
 public:
  // Reads a spec of the `known` allocators. InvalidArgument, with the spec, a caret under the
  // character that is wrong and what is allowed there, for a spec that cannot be read. An allocator
  // may still refuse a value that is well written, when it is made: RefusalOf then says which.
  static absl::StatusOr<AllocatorSpec> Parse(absl::string_view text,
                                             absl::Span<const AllocatorFactory* const> known);

  // Outermost first; at least one.
  absl::Span<const AllocatorLayer> layers() const { return layers_; }

  // Whether the last layer is a decorator for which the text names nothing to decorate.
  bool open() const { return layers_.back().factory->decorates(); }

  // What the factory of a layer answered, with the allocator's name in front of it and the spec
  // behind, a caret at the layer's position: in the form of what Parse says. The code stays. A
  // status without a message stays as it is, and so does any where there is no memory for more
  // words. REQUIRES: !refusal.ok().
  absl::Status RefusalOf(const AllocatorLayer& layer, const absl::Status& refusal) const noexcept;

 private:
  AllocatorSpec(absl::string_view text, std::vector<AllocatorLayer> layers)
      : text_(text), layers_(std::move(layers)) {}

  std::string text_;
  std::vector<AllocatorLayer> layers_;
};

// For --help: each of the allocators, its options and what they mean, a line each.
std::string DescribeAllocators(absl::Span<const AllocatorFactory* const> known);

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_ALLOCATOR_SPEC_H_
