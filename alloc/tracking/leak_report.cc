#include "tenon/alloc/tracking/leak_report.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/debugging/symbolize.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace tenon::alloc {
namespace {

// By what is written there: the same place may have several addresses for its name.
using SiteKey = std::tuple<absl::string_view, uint32_t, absl::string_view>;

SiteKey KeyOf(const std::source_location& where) {
  return {where.file_name(), where.line(), where.function_name()};
}

bool IsOlder(const LeakReport::KeptBlock& a, const LeakReport::KeptBlock& b) {
  return a.number < b.number;
}

std::string Blocks(uint64_t count) {
  return absl::StrCat(count, count == 1 ? " block" : " blocks");
}
std::string Bytes(uint64_t count) { return absl::StrCat(count, count == 1 ? " byte" : " bytes"); }

std::string PlaceText(const std::source_location& where) {
  if (where.line() == 0) return "an unknown place";
  return absl::StrCat(where.file_name(), ":", where.line(), " (", where.function_name(), ")");
}

std::string SymbolText(void* return_address) {
  char symbol[512];
  // The call itself stands before the address to which it returns.
  if (absl::Symbolize(static_cast<char*>(return_address) - 1, symbol, sizeof(symbol))) {
    return absl::StrFormat("%p %s", return_address, symbol);
  }
  return absl::StrFormat("%p", return_address);
}

std::string JsonText(absl::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", c);
    } else {
      json += c;
    }
  }
  return json + "\"";
}

std::string JsonPlace(const std::source_location& where) {
  return absl::StrCat("\"file\": ", JsonText(where.file_name()), ", \"line\": ", where.line(),
                      ", \"function\": ", JsonText(where.function_name()));
}

}  // namespace

LeakReport LeakReport::Of(const Allocator& allocator, size_t max_blocks) {
  LeakReport report;
  std::map<SiteKey, Site> sites;
  // A heap with the youngest block that is kept on top.
  std::vector<KeptBlock>& kept = report.blocks_;
  allocator.VisitLive([&](const LiveBlock& block) {
    ++report.live_blocks_;
    report.live_bytes_ += block.size;
    Site& site = sites[KeyOf(block.site)];
    site.where = block.site;
    ++site.blocks;
    site.bytes += block.size;
    const bool full = kept.size() == max_blocks;
    if (full && (kept.empty() || block.number > kept.front().number)) return;
    if (full) {
      std::pop_heap(kept.begin(), kept.end(), IsOlder);
      kept.pop_back();
    }
    kept.push_back({.ptr = block.ptr,
                    .size = block.size,
                    .number = block.number,
                    .site = block.site,
                    .stack = {block.stack.begin(), block.stack.end()}});
    std::push_heap(kept.begin(), kept.end(), IsOlder);
  });
  std::sort_heap(kept.begin(), kept.end(), IsOlder);
  for (const auto& [key, site] : sites) report.sites_.push_back(site);
  std::sort(report.sites_.begin(), report.sites_.end(), [](const Site& a, const Site& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : KeyOf(a.where) < KeyOf(b.where);
  });
  return report;
}

std::string LeakReport::WriteText() const {
  std::string text = absl::StrCat(Blocks(live_blocks_), " with ", Bytes(live_bytes_),
                                  live_blocks_ == 1 ? " is live\n" : " are live\n");
  for (const Site& site : sites_) {
    absl::StrAppend(&text, "  ", Blocks(site.blocks), " with ", Bytes(site.bytes), " from ",
                    PlaceText(site.where), "\n");
  }
  for (const KeptBlock& block : blocks_) {
    absl::StrAppendFormat(&text, "  allocation %d: %s at %p from %s\n", block.number,
                          Bytes(block.size), block.ptr, PlaceText(block.site));
    for (void* address : block.stack) absl::StrAppend(&text, "      ", SymbolText(address), "\n");
  }
  if (live_blocks_ > blocks_.size()) {
    absl::StrAppend(&text, "  and ", Blocks(live_blocks_ - blocks_.size()), " more\n");
  }
  return text;
}

std::string LeakReport::WriteJson() const {
  std::string json = absl::StrCat("{\"live_blocks\": ", live_blocks_,
                                  ", \"live_bytes\": ", live_bytes_, ", \"sites\": [");
  absl::string_view separator = "";
  for (const Site& site : sites_) {
    absl::StrAppend(&json, separator, "{", JsonPlace(site.where), ", \"blocks\": ", site.blocks,
                    ", \"bytes\": ", site.bytes, "}");
    separator = ", ";
  }
  absl::StrAppend(&json, "], \"blocks\": [");
  separator = "";
  for (const KeptBlock& block : blocks_) {
    absl::StrAppend(&json, separator, "{\"number\": ", block.number, ", \"bytes\": ", block.size,
                    ", \"address\": \"", absl::StrFormat("%p", block.ptr), "\", ",
                    JsonPlace(block.site), ", \"stack\": [");
    separator = "";
    for (void* address : block.stack) {
      absl::StrAppend(&json, separator, JsonText(SymbolText(address)));
      separator = ", ";
    }
    absl::StrAppend(&json, "]}");
    separator = ", ";
  }
  absl::StrAppend(&json, "], \"blocks_left_out\": ", live_blocks_ - blocks_.size(), "}\n");
  return json;
}

}  // namespace tenon::alloc
