#include "tenon/tools/text/table.h"

#include "gtest/gtest.h"

namespace tenon::text {
namespace {

TEST(AlignColumnsTest, MakesColumnsAsWideAsTheirWidestCell) {
  EXPECT_EQ(AlignColumns({{"name", "n"}, {"a", "100"}, {"longest"}, {}}),
            "name     n\n"
            "a        100\n"
            "longest\n"
            "\n");
}

TEST(AlignColumnsTest, AlignsFiguresToTheRight) {
  EXPECT_EQ(AlignColumns({{"name", "n", "of"}, {"a", "100", "7"}}, 1),
            "name    n  of\n"
            "a     100   7\n");
  EXPECT_EQ(AlignColumns({}, 1), "");
}

}  // namespace
}  // namespace tenon::text
