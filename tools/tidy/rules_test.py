"""Each rule against samples that break it and samples that only look as if they did."""

import os
import subprocess
import tempfile
import unittest

import cpp_functions
import rules
import tidy

_HEADER = """// What it is for.

#ifndef TENON_CORE_A_H_
#define TENON_CORE_A_H_
%s
#endif  // TENON_CORE_A_H_
"""


def messages(path, text):
    return [message for _, message in rules.check(path, text)]


class FunctionTest(unittest.TestCase):

    def names(self, text):
        return [name for name, _, _ in cpp_functions.functions(text)]

    def test_finds_functions_methods_tests_and_templates(self):
        text = """
namespace a {
class B final : public C<int()> {
 public:
  B() : d_(1), e_{2}, f_{} { G(); }
  ~B() override {}
  bool operator==(const B& other) const { return d_ == other.d_; }
  int H(int x = 3) const noexcept { if (x) { return 1; } return 2; }
  virtual int I() = 0;

 private:
  int d_ = 0;
  int j_[2] = {1, 2};
};
enum class K { kA, kB };
template <typename T, int n = 3>
  requires(n > 2)
std::vector<T> L(T t) { return {t}; }
TEST(Suite, Case) { M([] { return 1; }); }
const N kN[] = {{1, "}{"}, {2, '}'}};
const auto kO = [](int x) { return x; };
struct P { int q; };
struct P MakeP() { return {}; }
B::B(int x)
    : d_(x) {
  // }
}
}  // namespace a
"""
        self.assertEqual(
            self.names(text), ['B', '~B', 'operator==', 'H', 'L', 'TEST', 'MakeP', 'B::B'])

    def test_counts_from_the_header_to_the_closing_brace(self):
        self.assertEqual(cpp_functions.functions('\nint F(\n    int x)\n{\n  return R"(}\n)"[x];\n}\n'),
                         [('F', 2, 7)])

    def test_refuses_a_long_one(self):
        body = '  G();\n' * 69
        self.assertEqual(messages('core/a.cc', 'void F() {\n%s}\n' % body), ['F has 71 lines; at most 70'])
        self.assertEqual(messages('core/a.cc', 'void F() {\n%s}\n' % body[7:]), [])

    def test_python_and_shell_have_them_too(self):
        self.assertEqual(messages('a/b.py', 'def f():\n%s' % ('    g()\n' * 70)), ['f has 71 lines; at most 70'])
        self.assertEqual(messages('a/b.sh', 'f() {\n%s}\n' % ('  g\n' * 69)), ['f has 71 lines; at most 70'])


class TextTest(unittest.TestCase):

    def test_length_of_files(self):
        self.assertEqual(messages('core/a.cc', '\n' * 601), ['601 lines; at most 600'])
        self.assertEqual(messages('core/a.cc', '\n' * 600), [])

    def test_columns_of_cpp(self):
        self.assertEqual(messages('core/a.cc', '/' * 101 + '\n'), ['101 columns; at most 100'])
        self.assertEqual(messages('core/a.cc', '// ' + 'µ' * 97 + '\n'), [])
        self.assertEqual(messages('core/a.cc', '#include "%s"\n' % ('a' * 100)), [])
        self.assertEqual(messages('core/a.cc', 'R"x(\n%s\n)x";\n' % ('a' * 101)), [])
        self.assertEqual(len(messages('core/a.cc', '// R"x(\n%s\n)x";\n' % ('a' * 101))), 1)
        self.assertEqual(messages('core/a.sh', '#' * 120 + '\n'), [])

    def test_left_overs(self):
        for word in ('FIX' 'ME', 'XX' 'X'):
            self.assertEqual(len(messages('core/a.cc', '// %s: later\n' % word)), 1)
        self.assertEqual(messages('core/a.sh', 'mktemp part.XXXXXX\n'), [])

    def test_form_of_what_is_to_do(self):
        to_do = 'TO' 'DO'
        for form in ('', ': x', '(me): x', '(#12)', '(#topic):x', '(#topic): '):
            self.assertEqual(len(messages('core/a.cc', '// %s%s\n' % (to_do, form))), 1, form)
        self.assertEqual(messages('core/a.cc', '// %s(#splice-files): Ask the kernel.\n' % to_do), [])

    def test_names(self):
        for path in ('core/utils.cc', 'core/Util.py', 'core/common/a.cc', 'misc/BUILD.bazel', 'a/helpers.bzl'):
            self.assertEqual(len(messages(path, '')), 1, path)
        for path in ('core/utility_function.cc', 'core/commonality.cc', 'core/dispatch.cc'):
            self.assertEqual(messages(path, ''), [], path)


class HeaderTest(unittest.TestCase):

    def test_a_good_one(self):
        self.assertEqual(messages('core/a.h', _HEADER % '\n#include <a>\n'), [])

    def test_guard(self):
        wrong = 'its include guard is not TENON_CORE_B_H_'
        self.assertEqual(messages('core/b.h', _HEADER % ''), [wrong])
        self.assertEqual(messages('core/b.h', '// Banner.\n#pragma once\n'), [wrong])
        self.assertEqual(messages('core/b.h', '// Banner.\n'), [wrong])

    def test_banner(self):
        self.assertEqual(
            messages('core/a.h', (_HEADER % '')[len('// What it is for.\n\n'):]),
            ['a header begins with a comment that says what it is for'])


class CheckoutTest(unittest.TestCase):

    def make(self, files):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for path, text in files.items():
            path = os.path.join(directory.name, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        return directory.name

    def test_reports_by_exit_status(self):
        good = self.make({'WORKSPACE': '', 'LICENSE': '', 'core/a.cc': 'int a;\n'})
        self.assertEqual(tidy.main([os.path.join(good, 'LICENSE')]), 0)
        bad = self.make({'WORKSPACE': '', 'LICENSE': '', 'core/utils.cc': 'int a;\n'})
        self.assertEqual(tidy.main([os.path.join(bad, 'LICENSE')]), 1)
        none = self.make({'LICENSE': ''})
        self.assertEqual(tidy.main([os.path.join(none, 'LICENSE')]), 2)

    def test_leaves_out_what_is_not_tracked(self):
        root = self.make({'WORKSPACE': '', 'scratch/utils.cc': ''})
        try:
            subprocess.run(['git', '-C', root, 'init', '--quiet'], check=True)
            subprocess.run(['git', '-C', root, 'add', 'WORKSPACE'], check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest('git cannot be used here')
        self.assertEqual(tidy.sources(root), ['WORKSPACE'])


if __name__ == '__main__':
    unittest.main()
