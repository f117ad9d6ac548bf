#include "tenon/runtime/allocator_spec.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace tenon::runtime {
namespace {

using Kind = AllocatorOption::Kind;

// A spec for each decorator there is, and then some.
constexpr size_t kMaxLayers = 32;

std::optional<uint64_t> ReadSize(absl::string_view text) {
  uint64_t unit = 1;
  for (const auto& [suffix, bytes] : {std::pair<absl::string_view, uint64_t>{"KiB", 1 << 10},
                                      {"MiB", 1 << 20},
                                      {"GiB", 1 << 30}}) {
    if (!absl::ConsumeSuffix(&text, suffix)) continue;
    unit = bytes;
    break;
  }
  uint64_t number = 0;
  if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &number) || number > std::numeric_limits<uint64_t>::max() / unit) {
    return std::nullopt;
  }
  return number * unit;
}

std::optional<AllocatorOptionValue> ReadValue(Kind kind, absl::string_view text) {
  AllocatorOptionValue value;
  switch (kind) {
    case Kind::kSize:
      if (const auto size = ReadSize(text)) return AllocatorOptionValue{.number = *size};
      return std::nullopt;
    case Kind::kCount:
      if (!absl::SimpleAtoi(text, &value.number) || !absl::ascii_isdigit(text[0])) {
        return std::nullopt;
      }
      return value;
    case Kind::kProbability:
      if (!absl::SimpleAtod(text, &value.probability) || !(value.probability >= 0.0) ||
          value.probability > 1.0) {
        return std::nullopt;
      }
      return value;
    case Kind::kSwitch:
      if (text != "on" && text != "off") return std::nullopt;
      value.number = text == "on" ? 1 : 0;
      return value;
  }
  return std::nullopt;
}

absl::string_view DescribeKind(Kind kind) {
  switch (kind) {
    case Kind::kSize:
      return "a size, such as 4096, 64KiB, 512MiB or 1GiB";
    case Kind::kCount:
      return "a whole number";
    case Kind::kProbability:
      return "a probability from 0 to 1";
    case Kind::kSwitch:
      return "on or off";
  }
  return "";
}

std::string Names(absl::Span<const AllocatorFactory* const> known) {
  if (known.empty()) return "none";
  return absl::StrJoin(known, ", ", [](std::string* out, const AllocatorFactory* factory) {
    absl::StrAppend(out, factory->name());
  });
}

std::string OptionNames(const AllocatorFactory& factory) {
  if (factory.options().empty()) return absl::StrCat(factory.name(), " has no options");
  return absl::StrCat(
      "the options of ", factory.name(), " are ",
      absl::StrJoin(factory.options(), ", ", [](std::string* out, const AllocatorOption& option) {
        absl::StrAppend(out, option.name);
      }));
}

// What is wrong with a spec, and where.
std::string PointAt(absl::string_view spec, size_t position, absl::string_view what) {
  return absl::StrCat("allocator spec: ", what, "\n  ", spec, "\n  ",
                      std::string(std::min(position, spec.size()), ' '), "^");
}

bool IsWordCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' ||
         c == '+';
}

class Parser {
 public:
  Parser(absl::string_view text, absl::Span<const AllocatorFactory* const> known)
      : text_(text), known_(known) {}

  absl::StatusOr<std::vector<AllocatorLayer>> Parse() {
    size_t open_parentheses = 0;
    bool more = true;
    while (more) {
      if (layers_.size() == kMaxLayers) {
        return WrongAt(at_, absl::StrCat("more than ", kMaxLayers, " allocators"));
      }
      if (absl::Status status = ParseName(); !status.ok()) return status;
      more = false;
      if (!Take('(')) {
        if (absl::Status status = Complete(at_); !status.ok()) return status;
        continue;
      }
      ++open_parentheses;
      if (absl::Status status = ParseArguments(&more); !status.ok()) return status;
    }
    while (open_parentheses > 0 && Take(')')) --open_parentheses;
    SkipBlanks();
    if (open_parentheses > 0) {
      return WrongAt(at_, Peek() == ',' ? "what is decorated comes last; \")\" is missing"
                                        : "\")\" is missing");
    }
    if (at_ < text_.size()) return WrongAt(at_, "the spec has ended before this");
    return std::move(layers_);
  }

 private:
  absl::Status WrongAt(size_t position, absl::string_view what) const {
    return absl::InvalidArgumentError(PointAt(text_, position, what));
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  bool Take(char c) {
    SkipBlanks();
    if (Peek() != c) return false;
    ++at_;
    return true;
  }

  absl::string_view TakeWord() {
    SkipBlanks();
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordCharacter(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  // The name of the next layer, which is added.
  absl::Status ParseName() {
    SkipBlanks();
    const size_t begin = at_;
    const absl::string_view name = TakeWord();
    if (name.empty()) {
      return WrongAt(begin,
                     absl::StrCat("the name of an allocator is missing; known: ", Names(known_)));
    }
    for (const AllocatorFactory* factory : known_) {
      if (factory->name() != name) continue;
      layers_.push_back({.factory = factory,
                         .options = std::vector<AllocatorOptionValue>(factory->options().size()),
                         .position = begin});
      given_.assign(factory->options().size(), false);
      return absl::OkStatus();
    }
    return WrongAt(begin,
                   absl::StrCat("no allocator \"", name, "\" is linked; linked: ", Names(known_)));
  }

  // What stands behind "(", up to the ")" or, then `*nested`, up to the spec of what is decorated.
  absl::Status ParseArguments(bool* nested) {
    SkipBlanks();
    if (Peek() == ')') return Complete(at_);
    do {
      SkipBlanks();
      const size_t begin = at_;
      const absl::string_view word = TakeWord();
      if (word.empty()) return WrongAt(begin, "a value or an allocator is missing");
      if (Take('=')) {
        SkipBlanks();
        const size_t value_begin = at_;
        const absl::string_view value = TakeWord();
        if (absl::Status status = SetNamed(begin, word, value_begin, value); !status.ok()) {
          return status;
        }
      } else if (IsNested(word)) {
        if (!layers_.back().factory->decorates()) {
          return WrongAt(begin, absl::StrCat(layers_.back().factory->name(), " decorates nothing"));
        }
        at_ = begin;
        *nested = true;
        return Complete(begin);
      } else if (absl::Status status = SetNext(begin, word); !status.ok()) {
        return status;
      }
    } while (Take(','));
    SkipBlanks();
    if (Peek() != ')') return WrongAt(at_, "\",\" or \")\" is missing");
    return Complete(at_);
  }

  // Values begin with a digit or a sign, or are those of a switch.
  bool IsNested(absl::string_view word) const {
    return absl::ascii_isalpha(static_cast<unsigned char>(word[0])) && word != "on" &&
           word != "off";
  }

  absl::Status SetNamed(size_t name_begin, absl::string_view name, size_t value_begin,
                        absl::string_view value) {
    const AllocatorFactory& factory = *layers_.back().factory;
    const absl::Span<const AllocatorOption> options = factory.options();
    for (size_t i = 0; i < options.size(); ++i) {
      if (options[i].name != name) continue;
      if (given_[i]) return WrongAt(name_begin, absl::StrCat("\"", name, "\" is given twice"));
      return Set(i, value_begin, value);
    }
    return WrongAt(name_begin, absl::StrCat("no option \"", name, "\"; ", OptionNames(factory)));
  }

  absl::Status SetNext(size_t begin, absl::string_view value) {
    const auto next = std::find(given_.begin(), given_.end(), false);
    if (next != given_.end()) {
      return Set(static_cast<size_t>(next - given_.begin()), begin, value);
    }
    return WrongAt(begin, absl::StrCat("a value too many; ", OptionNames(*layers_.back().factory)));
  }

  absl::Status Set(size_t option, size_t begin, absl::string_view text) {
    const AllocatorOption& declared = layers_.back().factory->options()[option];
    const std::optional<AllocatorOptionValue> value =
        text.empty() ? std::nullopt : ReadValue(declared.kind, text);
    if (!value.has_value()) {
      return WrongAt(begin, absl::StrCat("\"", text, "\" is no value of ", declared.name,
                                         ", which is ", DescribeKind(declared.kind)));
    }
    given_[option] = true;
    layers_.back().options[option] = *value;
    return absl::OkStatus();
  }

  // Fills in what the last layer was not told.
  absl::Status Complete(size_t position) {
    const AllocatorFactory& factory = *layers_.back().factory;
    for (size_t i = 0; i < given_.size(); ++i) {
      const AllocatorOption& option = factory.options()[i];
      if (given_[i]) continue;
      if (option.default_value.empty()) {
        return WrongAt(position, absl::StrCat(factory.name(), " needs ", option.name, ", ",
                                              DescribeKind(option.kind)));
      }
      const auto value = ReadValue(option.kind, option.default_value);
      if (!value.has_value()) {
        return absl::InternalError(absl::StrCat(factory.name(), ": the default of ", option.name,
                                                " is not ", DescribeKind(option.kind)));
      }
      layers_.back().options[i] = *value;
    }
    return absl::OkStatus();
  }

  const absl::string_view text_;
  const absl::Span<const AllocatorFactory* const> known_;
  size_t at_ = 0;
  std::vector<AllocatorLayer> layers_;
  // Which options of the last layer have a value.
  std::vector<bool> given_;
};

}  // namespace

absl::StatusOr<AllocatorSpec> AllocatorSpec::Parse(
    absl::string_view text, absl::Span<const AllocatorFactory* const> known) {
  absl::StatusOr<std::vector<AllocatorLayer>> layers = Parser(text, known).Parse();
  if (!layers.ok()) return std::move(layers).status();
  return AllocatorSpec(text, *std::move(layers));
}

absl::Status AllocatorSpec::RefusalOf(const AllocatorLayer& layer,
                                      const absl::Status& refusal) const noexcept {
  if (refusal.message().empty()) return refusal;
  try {
    return absl::Status(refusal.code(),
                        PointAt(text_, layer.position,
                                absl::StrCat(layer.factory->name(), ": ", refusal.message())));
  } catch (const std::bad_alloc&) {
    return refusal;
  }
}

std::string DescribeAllocators(absl::Span<const AllocatorFactory* const> known) {
  std::string text;
  for (const AllocatorFactory* factory : known) {
    std::vector<std::string> arguments;
    for (const AllocatorOption& option : factory->options()) arguments.emplace_back(option.name);
    if (factory->decorates()) arguments.emplace_back("ALLOCATOR");
    absl::StrAppend(&text, factory->name(),
                    arguments.empty() ? "" : absl::StrCat("(", absl::StrJoin(arguments, ", "), ")"),
                    ": ", factory->summary(), "\n");
    for (const AllocatorOption& option : factory->options()) {
      absl::StrAppend(&text, "  ", option.name, ": ", option.summary, "; ",
                      DescribeKind(option.kind));
      if (!option.default_value.empty()) absl::StrAppend(&text, " [", option.default_value, "]");
      absl::StrAppend(&text, "\n");
    }
  }
  return text;
}

}  // namespace tenon::runtime
