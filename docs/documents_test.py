"""Checkouts with one thing wrong in each."""

import os
import tempfile
import unittest

import documents

_GOOD = {
    'README.md': '''# Title

See [the page](docs/page.md#a-heading-with-code) and `core/a.cc`.

```sh
./bazelw test //core:a_test
```

<!-- from: core/a.cc -->
```cpp
int a;
```
''',
    'docs/page.md': '# Page\n\n## A heading, with `code`\n',
    'docs/commands.txt': '# Comment.\nci //... | ./bazelw test //core:a_test\n',
    '.ci/run': 'tests //...\n',
    'core/a.cc': 'int a;\nint b;\n',
    'core/BUILD.bazel': 'cc_test(\n    name = "a_test",\n)\n',
}


class DocumentsTest(unittest.TestCase):

    def problems(self, path=None, old='', new=''):
        with tempfile.TemporaryDirectory() as root:
            for name, text in _GOOD.items():
                if name == path:
                    self.assertIn(old, text)
                    text = text.replace(old, new)
                name = os.path.join(root, name)
                os.makedirs(os.path.dirname(name), exist_ok=True)
                with open(name, 'w', encoding='utf-8') as file:
                    file.write(text)
            return documents.Documents(root).problems()

    def test_a_good_checkout(self):
        self.assertEqual(self.problems(), [])

    def test_a_command_that_nothing_runs(self):
        self.assertEqual(self.problems('README.md', '\n```\n\n<', '\nrm -rf core\n```\n\n<'),
                         ['README.md:7: docs/commands.txt does not say what runs: rm -rf core'])

    def test_a_command_in_no_document(self):
        self.assertEqual(self.problems('docs/commands.txt', '# Comment.', 'shell | ls'),
                         ['docs/commands.txt: in no document: ls'])

    def test_what_is_said_to_run_it(self):
        for by in ('ci nothing', 'test //core:b_test', 'example examples/a', 'shell x', 'somebody'):
            self.assertEqual(self.problems('docs/commands.txt', 'ci //...', by),
                             ['docs/commands.txt:2: there is no such thing: %s' % by])

    def test_code_of_a_file(self):
        self.assertEqual(self.problems('core/a.cc', 'int a;', 'int c;'), ['README.md:10: this is not the text of core/a.cc'])
        self.assertEqual(self.problems('README.md', 'from: core/a.cc', 'from: core/c.cc'),
                         ['README.md:10: there is no core/c.cc'])
        self.assertEqual(self.problems('README.md', '<!-- from: core/a.cc -->\n', ''),
                         ['README.md:9: code without a line <!-- from: FILE --> before it'])

    def test_links(self):
        self.assertEqual(self.problems('README.md', 'docs/page.md', 'docs/none.md'),
                         ['README.md:3: a link to what is not there: docs/none.md#a-heading-with-code'])
        self.assertEqual(self.problems('README.md', '#a-heading', '#no-heading'),
                         ['README.md:3: a link to a heading that is not there: docs/page.md#no-heading-with-code'])

    def test_files_and_targets(self):
        self.assertEqual(self.problems('README.md', '`core/a.cc`', '`core/b.cc`'), ['README.md:3: there is no core/b.cc'])
        self.assertEqual(self.problems('README.md', '`core/a.cc`', '`//core:b`, `//core:a_test`, `@c//d`, `//core/...`'),
                         ['README.md:3: there is no target //core:b'])


if __name__ == '__main__':
    unittest.main()
