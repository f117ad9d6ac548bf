#include "tenon/conformance/report/escape.h"

#include <string>

#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

TEST(JsonStringTest, EscapesWhatJsonRequires) {
  EXPECT_EQ(JsonString("plain"), "\"plain\"");
  EXPECT_EQ(JsonString("a\"b\\c\nd\te"), "\"a\\\"b\\\\c\\nd\\te\"");
  EXPECT_EQ(JsonString(std::string("\0\x1b", 2)), "\"\\u0000\\u001b\"");
  EXPECT_EQ(JsonString("\x7f"), "\"\x7f\"");
}

TEST(JsonStringTest, KeepsUtf8AndReplacesWhatIsNone) {
  EXPECT_EQ(JsonString("\xc3\xa4 \xe2\x86\x92 \xf0\x9f\x94\xa7"),
            "\"\xc3\xa4 \xe2\x86\x92 \xf0\x9f\x94\xa7\"");
  EXPECT_EQ(JsonString("a\xff"), "\"a\xef\xbf\xbd\"");
  // Cut off, overlong, a surrogate, beyond the last code point.
  EXPECT_EQ(JsonString("\xe2\x86"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(JsonString("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(JsonString("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(JsonString("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(XmlTextTest, EscapesMarkupAndReplacesControlCharacters) {
  EXPECT_EQ(XmlText("<a b=\"c\">&amp;"), "&lt;a b=&quot;c&quot;&gt;&amp;amp;");
  EXPECT_EQ(XmlText("one\ntwo\t."), "one&#10;two&#9;.");
  EXPECT_EQ(XmlText("\x1b[31m"), "\xef\xbf\xbd[31m");
}

TEST(MarkdownCellTest, KeepsTheTableWhole) {
  EXPECT_EQ(MarkdownCell("a|b\nc<d>"), "a\\|b<br>c&lt;d>");
}

TEST(HeadlineTest, IsOneShortLine) {
  EXPECT_EQ(Headline("SIGABRT\n\n  last words\n"), "SIGABRT / last words");
  EXPECT_EQ(Headline(""), "");
  const std::string cut = Headline(std::string(196, 'x') + "\xc3\xa4\xc3\xa4\xc3\xa4");
  EXPECT_EQ(cut, std::string(196, 'x') + "...");
}

}  // namespace
}  // namespace tenon::conformance
