// The arithmetic of a report, and its two forms.

#include "tenon/tools/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace tenon::bench {
namespace {

constexpr int kFigureDecimals = 1;
constexpr int kRatioDecimals = 4;

// Length of the UTF-8 sequence at the start of `text` (RFC 3629), or 0 if there is no valid one:
// overlong forms, surrogates and anything above U+10FFFF are not.
size_t Utf8SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) second_min = 0xa0;
    if (lead == 0xed) second_max = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) second_min = 0x90;
    if (lead == 0xf4) second_max = 0x8f;
  }
  if (length == 0 || text.size() < length) return 0;
  if (byte(1) < second_min || byte(1) > second_max) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

// `{"name":value,…}` of values that are already JSON.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members) {
  return absl::StrCat("{",
                      absl::StrJoin(members, ",",
                                    [](std::string* out, const auto& member) {
                                      absl::StrAppend(out, JsonString(member.first), ":",
                                                      member.second);
                                    }),
                      "}");
}

// `[…]`, one item a line, of items that are already JSON.
std::string JsonArray(const std::vector<std::string>& items) {
  if (items.empty()) return "[]";
  return absl::StrCat("[\n    ", absl::StrJoin(items, ",\n    "), "\n  ]");
}

std::string JsonHost(const Host& host) {
  std::vector<std::pair<std::string, std::string>> versions;
  for (const auto& [library, version] : host.versions) {
    versions.emplace_back(library, JsonString(version));
  }
  return JsonObject({{"kernel", JsonString(host.kernel)},
                     {"cpu_model", JsonString(host.cpu_model)},
                     {"cores", absl::StrCat(host.cores)},
                     {"compiler", JsonString(host.compiler)},
                     {"build_mode", JsonString(host.build_mode)},
                     {"versions", JsonObject(versions)}});
}

std::string JsonResult(const Result& result) {
  return JsonObject({{"bench", JsonString(result.bench)},
                     {"case", JsonString(result.case_name)},
                     {"subject", JsonString(result.subject)},
                     {"metric", JsonString(result.metric)},
                     {"unit", JsonString(result.unit)},
                     {"median", JsonNumber(result.summary.median, kFigureDecimals)},
                     {"min", JsonNumber(result.summary.min, kFigureDecimals)},
                     {"max", JsonNumber(result.summary.max, kFigureDecimals)},
                     {"rounds", absl::StrCat(result.summary.rounds)}});
}

std::string JsonRatio(const Ratio& ratio) {
  return JsonObject({{"bench", JsonString(ratio.bench)},
                     {"case", JsonString(ratio.case_name)},
                     {"subject", JsonString(ratio.subject)},
                     {"peer", JsonString(ratio.peer)},
                     {"metric", JsonString(ratio.metric)},
                     {"ratio", JsonNumber(ratio.ratio, kRatioDecimals)}});
}

// Columns as wide as their widest cell: the first `left_columns` aligned to the left, the rest to
// the right.
std::string Align(const std::vector<std::vector<std::string>>& rows, size_t left_columns) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", i < left_columns ? "" : padding, row[i],
                      i < left_columns ? padding : "");
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string ResultTable(const std::vector<Result>& results) {
  std::vector<std::vector<std::string>> rows = {
      {"bench", "case", "metric", "subject", "unit", "median", "min", "max", "rounds"}};
  for (const Result& result : results) {
    const auto figure = [](double value) {
      return absl::StrFormat("%.*f", kFigureDecimals, value);
    };
    rows.push_back({result.bench, result.case_name, result.metric, result.subject, result.unit,
                    figure(result.summary.median), figure(result.summary.min),
                    figure(result.summary.max), absl::StrCat(result.summary.rounds)});
  }
  return Align(rows, 5);
}

std::string RatioTable(const std::vector<Ratio>& ratios) {
  std::vector<std::vector<std::string>> rows = {
      {"bench", "case", "metric", "subject", "peer", "ratio"}};
  for (const Ratio& ratio : ratios) {
    rows.push_back({ratio.bench, ratio.case_name, ratio.metric, ratio.subject, ratio.peer,
                    absl::StrFormat("%.3f", ratio.ratio)});
  }
  return Align(rows, 5);
}

}  // namespace

absl::StatusOr<Summary> Summarize(std::vector<double> samples) {
  if (samples.empty()) return absl::InvalidArgumentError("no samples to summarize");
  for (double sample : samples) {
    if (!std::isfinite(sample)) {
      return absl::InvalidArgumentError(absl::StrCat("sample is not a finite number: ", sample));
    }
  }
  std::sort(samples.begin(), samples.end());
  const size_t middle = samples.size() / 2;
  Summary summary = {.min = samples.front(), .max = samples.back(), .rounds = samples.size()};
  summary.median = samples.size() % 2 == 1
                       ? samples[middle]
                       : samples[middle - 1] + (samples[middle] - samples[middle - 1]) / 2;
  return summary;
}

const Result* FindResult(const Report& report, absl::string_view bench, absl::string_view case_name,
                         absl::string_view subject, absl::string_view metric) {
  for (const Result& result : report.results) {
    if (result.bench == bench && result.case_name == case_name && result.subject == subject &&
        result.metric == metric) {
      return &result;
    }
  }
  return nullptr;
}

absl::Status AddRatio(Report& report, absl::string_view bench, absl::string_view case_name,
                      absl::string_view subject, absl::string_view peer, absl::string_view metric) {
  const Result* numerator = FindResult(report, bench, case_name, subject, metric);
  const Result* denominator = FindResult(report, bench, case_name, peer, metric);
  if (numerator == nullptr || denominator == nullptr) {
    return absl::NotFoundError(absl::StrCat("no ", metric, " of ",
                                            numerator == nullptr ? subject : peer, " in this run (",
                                            bench, ", ", case_name, ")"));
  }
  if (numerator->unit != denominator->unit) {
    return absl::FailedPreconditionError(absl::StrCat(metric, " of ", subject, " is in ",
                                                      numerator->unit, ", that of ", peer, " in ",
                                                      denominator->unit));
  }
  if (!(denominator->summary.median > 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat(metric, " of ", peer, " is not above 0: no ratio to it"));
  }
  report.ratios.push_back({.bench = std::string(bench),
                           .case_name = std::string(case_name),
                           .subject = std::string(subject),
                           .peer = std::string(peer),
                           .metric = std::string(metric),
                           .ratio = numerator->summary.median / denominator->summary.median});
  return absl::OkStatus();
}

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    const char c = text[0];
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out + "\"";
}

std::string JsonNumber(double value, int decimals) {
  if (!std::isfinite(value)) return "null";
  std::string text = absl::StrFormat("%.*f", decimals, value);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

std::string ToJson(const Report& report) {
  std::vector<std::string> results;
  for (const Result& result : report.results) results.push_back(JsonResult(result));
  std::vector<std::string> ratios;
  for (const Ratio& ratio : report.ratios) ratios.push_back(JsonRatio(ratio));
  std::vector<std::string> notes;
  for (const std::string& note : report.notes) notes.push_back(JsonString(note));
  return absl::StrCat(
      "{\n  \"host\":", JsonHost(report.host), ",\n  \"results\":", JsonArray(results),
      ",\n  \"ratios\":", JsonArray(ratios), ",\n  \"notes\":", JsonArray(notes), "\n}\n");
}

std::string ToTable(const Report& report) {
  const Host& host = report.host;
  std::string out = absl::StrCat("host: kernel ", host.kernel, "; ", host.cpu_model, ", ",
                                 host.cores, " cores; ", host.compiler, ", ", host.build_mode);
  for (const auto& [library, version] : host.versions) {
    absl::StrAppend(&out, "; ", library, " ", version);
  }
  absl::StrAppend(&out, "\n\n", ResultTable(report.results));
  if (!report.ratios.empty()) absl::StrAppend(&out, "\n", RatioTable(report.ratios));
  if (!report.notes.empty()) absl::StrAppend(&out, "\n");
  for (const std::string& note : report.notes) absl::StrAppend(&out, "note: ", note, "\n");
  return out;
}

}  // namespace tenon::bench
