#include "tenon/conformance/differential/history.h"

#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/runner/record_pipe.h"

namespace tenon::conformance::differential {
namespace {

constexpr char kCompletionRecord = 'C';
constexpr char kObservationRecord = 'O';
constexpr char kViolationRecord = 'V';
constexpr char kPhaseRecord = 'P';
constexpr char kEndRecord = 'E';

// Shown of a content.
constexpr size_t kShownBytes = 8;

uint64_t Checksum(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  }
  return hash;
}

std::string ResultText(int32_t result) {
  if (result >= 0) return absl::StrCat(result);
  const char* const name = strerrorname_np(-result);
  return absl::StrCat(result, " (", name == nullptr ? "not an errno" : name, ")");
}

bool DeliversBytes(Verb verb) {
  return verb == Verb::kRecv || verb == Verb::kRead || verb == Verb::kRecvMsg;
}

// The numbers in words, then the lane and the content, which may have any bytes.
std::string Encode(const Completion& completion) {
  return absl::StrCat(completion.operation, " ", static_cast<int>(completion.verb), " ",
                      completion.result, " ", completion.more ? 1 : 0, " ",
                      completion.raced ? 1 : 0, " ", completion.lane, " ", completion.content);
}

Completion Decode(std::string_view payload) {
  const std::vector<std::string_view> words = absl::StrSplit(payload, absl::MaxSplits(' ', 6));
  Completion completion;
  int verb = 0;
  if (words.size() != 7 || !absl::SimpleAtoi(words[0], &completion.operation) ||
      !absl::SimpleAtoi(words[1], &verb) || !absl::SimpleAtoi(words[2], &completion.result)) {
    return completion;
  }
  completion.verb = static_cast<Verb>(verb);
  completion.more = words[3] == "1";
  completion.raced = words[4] == "1";
  completion.lane = words[5];
  completion.content = words[6];
  return completion;
}

}  // namespace

std::string BytesText(std::string_view bytes) {
  if (bytes.empty()) return "nothing";
  return absl::StrFormat("%d bytes %s#%08x", bytes.size(),
                         absl::BytesToHexString(bytes.substr(0, kShownBytes)),
                         static_cast<uint32_t>(Checksum(bytes)));
}

std::string CompletionText(const Completion& completion) {
  std::string text = absl::StrCat("o", completion.operation, " ", SpecOf(completion.verb).name,
                                  ": ", ResultText(completion.result));
  if (completion.more) absl::StrAppend(&text, " with more");
  if (completion.raced) absl::StrAppend(&text, " after a race");
  if (!completion.content.empty()) {
    absl::StrAppend(
        &text, ", ",
        DeliversBytes(completion.verb) ? BytesText(completion.content) : completion.content);
  }
  return text;
}

std::string HistoryText(const History& history) {
  std::string text;
  for (size_t i = 0; i < history.phases.size(); ++i) {
    const Phase& phase = history.phases[i];
    if (phase.completions.empty() && phase.observations.empty()) continue;
    absl::StrAppend(&text, "phase ", i + 1, "\n");
    for (const Completion& completion : phase.completions) {
      absl::StrAppend(&text, "  ", CompletionText(completion), "\n");
    }
    for (const std::string& observation : phase.observations) {
      absl::StrAppend(&text, "  ", observation, "\n");
    }
  }
  for (const std::string& violation : history.violations) {
    absl::StrAppend(&text, "violation: ", violation, "\n");
  }
  absl::StrAppend(&text, history.end.empty() ? "complete" : history.end, "\n");
  return text;
}

void HistoryWriter::Add(const Completion& completion) {
  WriteRecord(fd_, kCompletionRecord, Encode(completion));
}

void HistoryWriter::Observe(std::string_view sentence) {
  WriteRecord(fd_, kObservationRecord, sentence);
}

void HistoryWriter::Violation(std::string_view sentence) {
  WriteRecord(fd_, kViolationRecord, sentence);
}

void HistoryWriter::EndPhase() { WriteRecord(fd_, kPhaseRecord, ""); }

void HistoryWriter::End(std::string_view reason) { WriteRecord(fd_, kEndRecord, reason); }

History ParseHistory(std::string_view bytes, std::string_view death) {
  History history;
  Phase phase;
  bool ended = false;
  for (const Record& record : ParseRecords(bytes)) {
    switch (record.type) {
      case kCompletionRecord:
        phase.completions.push_back(Decode(record.payload));
        break;
      case kObservationRecord:
        phase.observations.push_back(record.payload);
        break;
      case kViolationRecord:
        history.violations.push_back(record.payload);
        break;
      case kPhaseRecord:
        history.phases.push_back(std::exchange(phase, {}));
        break;
      case kEndRecord:
        history.end = record.payload;
        ended = true;
        break;
      default:
        break;
    }
  }
  if (!phase.completions.empty() || !phase.observations.empty()) {
    history.phases.push_back(std::move(phase));
  }
  // Also a process that reported all it had to and then crashed has crashed.
  if (!ended || (history.end.empty() && !death.empty())) {
    history.end = death.empty() ? "ended without a report" : std::string(death);
  }
  return history;
}

}  // namespace tenon::conformance::differential
