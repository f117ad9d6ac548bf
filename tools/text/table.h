// Tables for terminals.

#ifndef TENON_TOOLS_TEXT_TABLE_H_
#define TENON_TOOLS_TEXT_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace tenon::text {

// Columns as wide as their widest cell, two blanks apart: the first `left_columns` aligned to the
// left, the rest to the right. Rows may be of different lengths; lines end without blanks.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows,
                         size_t left_columns = SIZE_MAX);

}  // namespace tenon::text

#endif  // TENON_TOOLS_TEXT_TABLE_H_
