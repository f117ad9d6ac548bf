// A report for programs.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/text/json.h"

namespace tenon::bench {
namespace {

constexpr int kFigureDecimals = 3;
constexpr int kRatioDecimals = 4;

using text::JsonArray;
using text::JsonNumber;
using text::JsonObject;
using text::JsonString;

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

}  // namespace

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

}  // namespace tenon::bench
