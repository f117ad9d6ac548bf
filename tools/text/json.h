// JSON for the reports of tools.

#ifndef TENON_TOOLS_TEXT_JSON_H_
#define TENON_TOOLS_TEXT_JSON_H_

#include <string>
#include <utility>
#include <vector>

#include "tenon/conformance/report/escape.h"

namespace tenon::text {

// `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
using conformance::JsonString;

// `value` as a JSON number with at most `decimals` digits behind the point; `null` if it is not
// finite.
std::string JsonNumber(double value, int decimals);

// `{"name":value,…}` of values that are already JSON.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);

// `[…]`, one item a line, of items that are already JSON.
std::string JsonArray(const std::vector<std::string>& items);

}  // namespace tenon::text

#endif  // TENON_TOOLS_TEXT_JSON_H_
