#include "tenon/conformance/rules/option_values.h"

#include <string>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tenon/runtime/allocator_spec.h"

namespace tenon::conformance {
namespace {

absl::string_view RequiredValue(AllocatorOption::Kind kind) {
  switch (kind) {
    case AllocatorOption::Kind::kSize:
      return "64MiB";
    case AllocatorOption::Kind::kCount:
      return "1000000";
    case AllocatorOption::Kind::kProbability:
      return "0";
    case AllocatorOption::Kind::kSwitch:
      return "off";
  }
  return "";
}

}  // namespace

std::string ConformanceSpec(const AllocatorFactory& factory, std::string_view inner) {
  std::vector<std::string> arguments;
  for (const AllocatorOption& option : factory.options()) {
    if (!option.default_value.empty()) continue;
    arguments.push_back(absl::StrCat(option.name, "=", RequiredValue(option.kind)));
  }
  if (!inner.empty()) arguments.emplace_back(inner);
  return absl::StrCat(factory.name(), "(", absl::StrJoin(arguments, ","), ")");
}

std::vector<AllocatorOptionValue> ConformanceOptions(const AllocatorFactory& factory) {
  // A composition has a spec for its name, and no options.
  if (factory.options().empty()) return {};
  const auto read = runtime::AllocatorSpec::Parse(ConformanceSpec(factory, ""), {&factory});
  CHECK_OK(read) << "what the suite says of " << factory.name();
  return read->layers().front().options;
}

}  // namespace tenon::conformance
