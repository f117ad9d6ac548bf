// Text inside other text.

#ifndef TENON_CONFORMANCE_REPORT_ESCAPE_H_
#define TENON_CONFORMANCE_REPORT_ESCAPE_H_

#include <string>
#include <string_view>

namespace tenon::conformance {

// As a JSON string, quotes included (RFC 8259). Bytes that are not UTF-8 become U+FFFD.
std::string JsonString(std::string_view text);

// As the content of an XML element or attribute (XML 1.0). Characters that XML cannot carry, and
// bytes that are not UTF-8, become U+FFFD.
std::string XmlText(std::string_view text);

// As one cell of a Markdown table: pipes escaped, line breaks as <br>.
std::string MarkdownCell(std::string_view text);

// The start of a text as one line of at most 200 bytes, with " / " for line breaks.
std::string Headline(std::string_view text);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_REPORT_ESCAPE_H_
