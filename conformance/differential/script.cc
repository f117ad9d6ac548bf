#include "tenon/conformance/differential/script.h"

#include <algorithm>
#include <set>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tenon::conformance::differential {
namespace {

constexpr int64_t kMaxBytes = 1'024;
// More than the buffers of a socket pair hold.
constexpr int64_t kMaxPumped = 1'000'000;
constexpr int64_t kMaxAgain = 6;

Parameter Handle(std::string_view name = "handle") {
  return {.type = ArgumentType::kHandle, .name = name};
}

Parameter Op() { return {.type = ArgumentType::kOperation, .name = "operation"}; }

Parameter Number(std::string_view name, int64_t limit) {
  return {.type = ArgumentType::kNumber, .name = name, .limit = limit};
}

Parameter Size() { return Number("size", kMaxBytes); }

Parameter Again() { return Number("again", kMaxAgain); }

Parameter Choice(std::string_view name, absl::Span<const std::string_view> choices) {
  return {.type = ArgumentType::kChoice,
          .name = name,
          .limit = static_cast<int64_t>(choices.size()) - 1,
          .choices = choices};
}

std::vector<VerbSpec> MakeSpecs() {
  return {
      {Verb::kSettle, "settle", {}},
      {Verb::kOpen, "open", {Handle(), Choice("kind", kEndKinds)}},
      {Verb::kAdoptPeer, "adopt_peer", {Handle(), Handle("of")}},
      {Verb::kPeerWrite, "peer_write", {Handle(), Size()}},
      {Verb::kPeerRead, "peer_read", {Handle()}},
      {Verb::kPeerShutdown, "peer_shutdown", {Handle()}},
      {Verb::kPeerClose, "peer_close", {Handle()}},
      {Verb::kPeerConnect, "peer_connect", {Handle()}},
      {Verb::kCancel, "cancel", {Op()}},
      {Verb::kRace, "race", {Op()}},
      {Verb::kDrop, "drop", {Handle()}},
      {Verb::kNop, "nop", {Op(), Again()}},
      {Verb::kTimer, "timer", {Op(), Choice("delay", kTimerDelays), Again()}},
      {Verb::kPoll, "poll", {Op(), Handle(), Choice("events", kPollEvents)}},
      {Verb::kAccept, "accept", {Op(), Handle(), Handle("as"), Choice("multishot", kYesNo)}},
      {Verb::kConnect, "connect", {Op(), Handle(), Handle("to")}},
      {Verb::kRecv,
       "recv",
       {Op(), Handle(), Size(), Choice("flags", kRecvFlags), Choice("mode", kRecvModes), Again()}},
      {Verb::kSend, "send", {Op(), Handle(), Size(), Choice("flags", kSendFlags)}},
      {Verb::kRecvMsg, "recvmsg", {Op(), Handle(), Size(), Choice("flags", kRecvFlags)}},
      {Verb::kSendMsg, "sendmsg", {Op(), Handle(), Size()}},
      {Verb::kShutdown, "shutdown", {Op(), Handle(), Choice("how", kShutdownHows)}},
      {Verb::kRead, "read", {Op(), Handle(), Size(), Choice("offset", kOffsets), Again()}},
      {Verb::kWrite, "write", {Op(), Handle(), Size(), Choice("offset", kOffsets)}},
      {Verb::kPump, "pump", {Op(), Handle(), Number("size", kMaxPumped)}},
      {Verb::kFsync, "fsync", {Op(), Handle(), Choice("data_only", kYesNo)}},
      {Verb::kOpenAt,
       "openat",
       {Op(), Handle("in"), Choice("path", kPaths), Choice("mode", kOpenModes), Handle("as")}},
      {Verb::kStatx, "statx", {Op(), Handle("in"), Choice("path", kPaths)}},
      {Verb::kRename,
       "rename",
       {Op(), Handle("in"), Choice("from", kPaths), Choice("to", kPaths),
        Choice("replace", kYesNo)}},
      {Verb::kUnlink,
       "unlink",
       {Op(), Handle("in"), Choice("path", kPaths), Choice("directory", kYesNo)}},
      {Verb::kMkdir, "mkdir", {Op(), Handle("in"), Choice("path", kPaths)}},
      {Verb::kSplice, "splice", {Op(), Handle("from"), Handle("to"), Size()}},
      {Verb::kClose, "close", {Op(), Handle()}},
      {Verb::kWork, "work", {Op(), Number("value", kMaxBytes)}},
  };
}

absl::StatusOr<int64_t> ParseName(std::string_view word, char letter) {
  int64_t number = 0;
  const bool begins = !word.empty() && word[0] == letter;
  if (!begins || !absl::SimpleAtoi(word.substr(1), &number) || number < 0 || number > kMaxName) {
    return absl::InvalidArgumentError(absl::StrCat("\"", word, "\" is not ",
                                                   std::string_view(&letter, 1), "0 to ",
                                                   std::string_view(&letter, 1), kMaxName));
  }
  return number;
}

absl::StatusOr<int64_t> ParseArgument(const Parameter& parameter, std::string_view word) {
  if (parameter.type == ArgumentType::kHandle) return ParseName(word, 'h');
  if (parameter.type == ArgumentType::kOperation) return ParseName(word, 'o');
  std::string_view value = word;
  if (!absl::ConsumePrefix(&value, absl::StrCat(parameter.name, "="))) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", word, "\" where ", parameter.name, "= is expected"));
  }
  if (parameter.type == ArgumentType::kChoice) {
    const auto found = std::find(parameter.choices.begin(), parameter.choices.end(), value);
    if (found != parameter.choices.end()) return found - parameter.choices.begin();
    return absl::InvalidArgumentError(
        absl::StrCat("\"", word, "\" is none of ", absl::StrJoin(parameter.choices, ", ")));
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number < 0 || number > parameter.limit) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", word, "\" is not a number from 0 to ", parameter.limit));
  }
  return number;
}

absl::StatusOr<Step> ParseStep(std::string_view line) {
  const std::vector<std::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  const auto& specs = VerbSpecs();
  const auto spec = std::find_if(specs.begin(), specs.end(),
                                 [&](const VerbSpec& each) { return each.name == words[0]; });
  if (spec == specs.end()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", words[0], "\" is no step"));
  }
  if (words.size() - 1 != spec->parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat(spec->name, " has ", spec->parameters.size(),
                                                   " arguments, not ", words.size() - 1));
  }
  Step step = {.verb = spec->verb};
  for (size_t i = 0; i < spec->parameters.size(); ++i) {
    const absl::StatusOr<int64_t> value = ParseArgument(spec->parameters[i], words[i + 1]);
    if (!value.ok()) return value.status();
    step.arguments[i] = *value;
  }
  return step;
}

// The name that a step gives to a handle, or 0.
int64_t HandleOpenedBy(const Step& step) {
  switch (step.verb) {
    case Verb::kOpen:
    case Verb::kAdoptPeer:
      return step.arguments[0];
    case Verb::kAccept:
      return step.arguments[2];
    case Verb::kOpenAt:
      return step.arguments[4];
    default:
      return 0;
  }
}

// Whether the names that a step gives are new; notes them.
absl::Status CheckNames(const Step& step, std::set<int64_t>& handles,
                        std::set<int64_t>& operations) {
  const int64_t handle = HandleOpenedBy(step);
  if (handle != 0 && !handles.insert(handle).second) {
    return absl::InvalidArgumentError(absl::StrCat("h", handle, " is opened twice"));
  }
  if (SpecOf(step.verb).is_operation() && !operations.insert(step.arguments[0]).second) {
    return absl::InvalidArgumentError(absl::StrCat("o", step.arguments[0], " is submitted twice"));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<VerbSpec>& VerbSpecs() {
  static const auto* const specs = new std::vector<VerbSpec>(MakeSpecs());
  DCHECK_EQ(specs->size(), kVerbCount);
  return *specs;
}

const VerbSpec& SpecOf(Verb verb) { return VerbSpecs()[static_cast<size_t>(verb)]; }

std::string StepText(const Step& step) {
  const VerbSpec& spec = SpecOf(step.verb);
  std::string text(spec.name);
  for (size_t i = 0; i < spec.parameters.size(); ++i) {
    const Parameter& parameter = spec.parameters[i];
    const int64_t value = step.arguments[i];
    switch (parameter.type) {
      case ArgumentType::kHandle:
        absl::StrAppend(&text, " h", value);
        break;
      case ArgumentType::kOperation:
        absl::StrAppend(&text, " o", value);
        break;
      case ArgumentType::kNumber:
        absl::StrAppend(&text, " ", parameter.name, "=", value);
        break;
      case ArgumentType::kChoice:
        absl::StrAppend(&text, " ", parameter.name, "=",
                        parameter.choices[static_cast<size_t>(value)]);
        break;
    }
  }
  return text;
}

std::string ScriptText(const Script& script) {
  std::string text;
  for (const Step& step : script) absl::StrAppend(&text, StepText(step), "\n");
  return text;
}

absl::StatusOr<Script> ParseScript(std::string_view text) {
  Script script;
  std::set<int64_t> handles;
  std::set<int64_t> operations;
  int number = 0;
  for (const std::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const std::string_view content = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (content.empty()) continue;
    const absl::StatusOr<Step> step = ParseStep(content);
    const absl::Status status = step.ok() ? CheckNames(*step, handles, operations) : step.status();
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", status.message()));
    }
    script.push_back(*step);
  }
  return script;
}

}  // namespace tenon::conformance::differential
