#include "tenon/conformance/report/escape.h"

#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The length of the well-formed UTF-8 sequence at the start of `text`, or 0 (Unicode, table 3-7).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) -> uint8_t {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (first == 0xED && byte(1) > 0x9F) return 0;  // a surrogate
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xF4 && byte(1) > 0x8F) return 0;  // beyond U+10FFFF
    return 4;
  }
  return 0;
}

// Calls `ascii` for each ASCII character, copies other characters, replaces what is none.
template <typename Ascii>
std::string Escape(std::string_view text, Ascii ascii) {
  std::string escaped;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      escaped += kReplacement;
    } else if (length == 1) {
      ascii(text[0], escaped);
    } else {
      escaped += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

}  // namespace

std::string JsonString(std::string_view text) {
  return "\"" +
         Escape(text,
                [](char c, std::string& out) {
                  switch (c) {
                    case '"':
                      out += "\\\"";
                      break;
                    case '\\':
                      out += "\\\\";
                      break;
                    case '\n':
                      out += "\\n";
                      break;
                    case '\t':
                      out += "\\t";
                      break;
                    default:
                      if (c < 0x20) {
                        absl::StrAppendFormat(&out, "\\u%04x", static_cast<int>(c));
                      } else {
                        out += c;
                      }
                  }
                }) +
         "\"";
}

std::string XmlText(std::string_view text) {
  return Escape(text, [](char c, std::string& out) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "&#10;";
        break;
      case '\t':
        out += "&#9;";
        break;
      default:
        if (c < 0x20) {
          out += kReplacement;
        } else {
          out += c;
        }
    }
  });
}

std::string MarkdownCell(std::string_view text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", "<br>"}, {"<", "&lt;"}});
}

std::string Headline(std::string_view text) {
  constexpr size_t kMaxLength = 200;
  constexpr std::string_view kCut = "...";
  std::vector<std::string_view> lines = absl::StrSplit(text, '\n');
  for (std::string_view& line : lines) line = absl::StripAsciiWhitespace(line);
  std::erase_if(lines, [](std::string_view line) { return line.empty(); });
  std::string headline = absl::StrJoin(lines, " / ");
  if (headline.size() <= kMaxLength) return headline;
  size_t length = kMaxLength - kCut.size();
  // Not inside a UTF-8 sequence.
  while (length > 0 && (static_cast<uint8_t>(headline[length]) & 0xC0) == 0x80) --length;
  headline.resize(length);
  return headline.append(kCut);
}

}  // namespace tenon::conformance
