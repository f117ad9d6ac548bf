#include "tenon/tools/conform/catalogue.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/rules/loop_rules.h"

namespace tenon::conformance {
namespace {

// A paragraph of at most 100 columns, its lines after the first indented like the first.
std::string Wrapped(std::string_view label, std::string_view text) {
  constexpr size_t kColumns = 100;
  constexpr size_t kIndent = 9;
  std::string line = absl::StrFormat("%-*s", static_cast<int>(kIndent), label);
  std::string paragraph;
  for (const std::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (line.size() + 1 + word.size() > kColumns) {
      absl::StrAppend(&paragraph, line, "\n");
      line = std::string(kIndent, ' ');
    }
    absl::StrAppend(&line, line.size() > kIndent ? " " : "", word);
  }
  return absl::StrCat(paragraph, line, "\n");
}

std::string RulesMarkdown(const std::vector<const Rule*>& rules) {
  std::string text =
      "# Conformance rules\n\n"
      "Printed by `conform --list --format=markdown` from the rule table; change it there.\n"
      "`conform --explain RULE` shows one of them.\n";
  std::string_view facet;
  for (const Rule* rule : rules) {
    if (rule->facet != facet) {
      facet = rule->facet;
      absl::StrAppend(
          &text, "\n## ", facet,
          "\n\n| rule | level | what holds | why | origin | the mutant that must fail it "
          "|\n|---|---|---|---|---|---|\n");
    }
    absl::StrAppend(&text, "| ", rule->id, " | ", LevelName(*rule), " | ", MarkdownCell(rule->text),
                    " | ", MarkdownCell(rule->why), " | ", MarkdownCell(rule->origin), " | ",
                    MarkdownCell(rule->mutant), " |\n");
  }
  return text;
}

std::string RulesJson(const std::vector<const Rule*>& rules) {
  std::string json = absl::StrCat("{\"tool\": \"conform\", \"rules\": [");
  const char* separator = "\n";
  for (const Rule* rule : rules) {
    absl::StrAppend(&json, separator, "  {\"id\": ", JsonString(rule->id),
                    ", \"facet\": ", JsonString(rule->facet),
                    ", \"level\": ", JsonString(LevelName(*rule)),
                    ", \"text\": ", JsonString(rule->text), ", \"why\": ", JsonString(rule->why),
                    ", \"origin\": ", JsonString(rule->origin));
    absl::StrAppend(&json, ", \"mutant\": ", JsonString(rule->mutant),
                    ", \"since\": ", JsonString(rule->since), "}");
    separator = ",\n";
  }
  return absl::StrCat(json, "\n]}\n");
}

std::string RulesTable(const std::vector<const Rule*>& rules) {
  std::string text;
  for (const Rule* rule : rules) text += Wrapped(rule->id, rule->text);
  return text;
}

}  // namespace

std::vector<const Rule*> AllRules() {
  std::vector<const Rule*> rules;
  for (const Rule& rule : LoopRules()) rules.push_back(&rule);
  for (const Rule& rule : AllocatorRules()) rules.push_back(&rule);
  return rules;
}

absl::StatusOr<std::vector<const Rule*>> SelectRules(const Selection& selection) {
  std::vector<const Rule*> rules = AllRules();
  std::vector<std::string> ids;
  std::set<std::string> facets;
  for (const Rule* rule : rules) {
    ids.emplace_back(rule->id);
    facets.emplace(rule->facet);
  }
  for (const absl::Status& status :
       {CheckPatterns("facet", selection.facets, {facets.begin(), facets.end()}),
        CheckPatterns("rule", selection.rules, ids)}) {
    if (!status.ok()) return status;
  }
  std::erase_if(rules, [&](const Rule* rule) {
    return !Selected(selection.facets, rule->facet) || !Selected(selection.rules, rule->id);
  });
  return rules;
}

std::string FormatRules(const std::vector<const Rule*>& rules, Format format) {
  if (format == Format::kMarkdown) return RulesMarkdown(rules);
  if (format == Format::kJson) return RulesJson(rules);
  return RulesTable(rules);
}

absl::StatusOr<std::string> ExplainRule(const std::string& id) {
  const absl::StatusOr<std::vector<const Rule*>> rules =
      SelectRules({.facets = {}, .subjects = {}, .rules = {id}});
  if (!rules.ok()) return rules.status();
  std::string text;
  for (const Rule* rule : *rules) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", rule->id, " (", rule->facet, ", ",
                    LevelName(*rule), ")\n");
    absl::StrAppend(&text, Wrapped("Rule", rule->text), Wrapped("Why", rule->why),
                    Wrapped("Origin", rule->origin), Wrapped("Mutant", rule->mutant));
    if (!rule->since.empty()) absl::StrAppend(&text, Wrapped("Since", rule->since));
  }
  return text;
}

}  // namespace tenon::conformance
