// Several allocators under one name, for whoever wants a factory.

#ifndef TENON_RUNTIME_COMPOSED_FACTORY_H_
#define TENON_RUNTIME_COMPOSED_FACTORY_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/allocator_spec.h"

namespace tenon::runtime {

// Makes what a spec says, as one allocator. Its name is the spec; it decorates where the spec
// leaves open what is decorated. An allocator of it costs a call more than its outermost layer.
//
//   const ComposedFactory factory("tracking(quota(1GiB))", *AllocatorSpec::Parse(...));
class ComposedFactory final : public AllocatorFactory {
 public:
  ComposedFactory(std::string name, AllocatorSpec spec)
      : name_(std::move(name)), spec_(std::move(spec)) {}

  absl::string_view name() const noexcept override { return name_; }
  absl::string_view summary() const noexcept override { return "several allocators in one"; }
  bool decorates() const noexcept override { return spec_.open(); }
  // The first refusal of a layer, as AllocatorSpec::RefusalOf.
  absl::Status Probe() const noexcept override;
  // As AllocatorStack::Make.
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override;

 private:
  const std::string name_;
  const AllocatorSpec spec_;
};

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_COMPOSED_FACTORY_H_
