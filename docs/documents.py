"""Reads the documents of a checkout and finds what in them is not so."""

import glob
import os
import re

_FENCE = re.compile(r'^```(\S*)\s*$')
_FROM = re.compile(r'^<!-- from: (\S+) -->$')
_LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')
_LABEL = re.compile(r'(?<![\w@:/])//([\w.-]+(?:/[\w.-]+)*)?(?::([\w.-]+))?(?![\w/])')
_PATH = re.compile(r'^(?:\.ci|alloc|backends|bazel|conformance|core|docs|examples|runtime|third_party|tools)/[\w./-]+$')
# Of a reader's own, not of ours.
_PLACEHOLDERS = ('//your', '//:set')
# How code of this repository reads in a consumer's workspace.
_AS_CONSUMER = (('"../tenon"', '"../.."'), ('/../tenon/', '/../../'), ('"@tenon//', '"//'))


class Block:
    """A fenced block."""

    def __init__(self, language, source, line):
        self.language, self.source, self.line, self.lines = language, source, line, []

    @property
    def text(self):
        return '\n'.join(self.lines) + '\n'


def parse(text):
    """The fenced blocks of a document, and its other lines as (number, line)."""
    blocks, prose, block, source = [], [], None, None
    for number, line in enumerate(text.split('\n'), 1):
        fence = _FENCE.match(line)
        if block is None and fence:
            block = Block(fence.group(1), source, number)
        elif block is not None and line == '```':
            blocks.append(block)
            block, source = None, None
        elif block is not None:
            block.lines.append(line)
        else:
            source = _FROM.match(line).group(1) if _FROM.match(line) else source if not line else None
            prose.append((number, line))
    return blocks, prose


def anchors(text):
    """What a link to a heading of this document may end in."""
    return {re.sub(r'[^\w\- ]', '', line.lstrip('# ').lower()).replace(' ', '-')
            for _, line in parse(text)[1] if line.startswith('#')}


def commands(blocks):
    """The command lines of `sh` blocks, as (line, command)."""
    for block in blocks:
        if block.language == 'sh':
            for offset, line in enumerate(block.lines, 1):
                if line.strip() and not line.startswith('#'):
                    yield block.line + offset, line


class Documents:
    """The documents of the checkout at `root`."""

    PATTERNS = ('*.md', 'docs/*.md', 'backends/*/README.md', 'examples/*/README.md')

    def __init__(self, root):
        self._root = root
        self.paths = sorted(os.path.relpath(path, root)
                            for pattern in self.PATTERNS for path in glob.glob(os.path.join(root, pattern)))

    def read(self, path):
        with open(os.path.join(self._root, path), encoding='utf-8') as file:
            return file.read()

    def _exists(self, path):
        return os.path.exists(os.path.join(self._root, path))

    def problems(self):
        """Each as `document:line: what is wrong`."""
        covered, found = self._covered()
        seen = set()
        for path in self.paths:
            blocks, prose = parse(self.read(path))
            for line, command in commands(blocks):
                seen.add(command)
                if command not in covered:
                    found.append('%s:%d: docs/commands.txt does not say what runs: %s' % (path, line, command))
            for check in (self._check_sources, self._check_links, self._check_names):
                found += ['%s:%d: %s' % (path, line, problem) for line, problem in check(path, blocks, prose)]
        found += ['docs/commands.txt: in no document: %s' % command for command in covered if command not in seen]
        return found

    def _covered(self):
        covered, found = {}, []
        for number, line in enumerate(self.read('docs/commands.txt').split('\n'), 1):
            if not line or line.startswith('#'):
                continue
            by, _, command = line.partition(' | ')
            covered[command] = by
            kind, _, what = by.partition(' ')
            good = {
                'ci': lambda: what in self.read('.ci/run'),
                'test': lambda: self._label_exists(what),
                'example': lambda: self._exists(what + '/WORKSPACE') and 'examples/*/WORKSPACE' in self.read('.ci/run'),
                'shell': lambda: not what,
            }.get(kind, lambda: False)
            if not good():
                found.append('docs/commands.txt:%d: there is no such thing: %s' % (number, by))
        return covered, found

    def _check_sources(self, path, blocks, _prose):
        for block in blocks:
            if block.source is None:
                if block.language in ('cpp', 'python', 'sh-config'):
                    yield block.line, 'code without a line <!-- from: FILE --> before it'
            elif not self._exists(block.source):
                yield block.line, 'there is no %s' % block.source
            elif not self._contains(block.source, block.text):
                yield block.line, 'this is not the text of %s' % block.source

    def _contains(self, source, text):
        code = self.read(source)
        for consumer, ours in _AS_CONSUMER:
            # Both ways of writing occur in examples.
            text, code = text.replace(consumer, ours), code.replace(consumer, ours)
        return text in code

    def _check_links(self, path, _blocks, prose):
        for number, line in prose:
            for target in _LINK.findall(line):
                if re.match(r'\w+:', target):
                    continue
                file, _, anchor = target.partition('#')
                file = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
                if not self._exists(file):
                    yield number, 'a link to what is not there: %s' % target
                elif anchor and anchor not in anchors(self.read(file)):
                    yield number, 'a link to a heading that is not there: %s' % target

    def _check_names(self, path, blocks, prose):
        lines = [(number, code) for number, line in prose for code in re.findall(r'`([^`]+)`', line)]
        lines += list(commands(blocks))
        for number, text in lines:
            for package, target in _LABEL.findall(text):
                label = '//%s%s' % (package, ':' + target if target else '')
                if not label.startswith(_PLACEHOLDERS) and not self._label_exists(label):
                    yield number, 'there is no target %s' % label
            if _PATH.match(text) and not self._exists(text):
                yield number, 'there is no %s' % text

    def _label_exists(self, label):
        package, _, target = label[2:].partition(':')
        if package.split('/')[-1] == '...':
            return self._exists(package[:-3] or '.')
        # In an example's workspace, documents speak of its root package.
        examples = [os.path.relpath(path, self._root) for path in glob.glob(os.path.join(self._root, 'examples/*'))]
        builds = [os.path.join(folder, 'BUILD.bazel') for folder in ([package] if package else ['', *examples])]
        text = ''.join(self.read(build) for build in builds if self._exists(build))
        name = target or package.split('/')[-1]
        return bool(text) and (name == 'all' or 'name = "%s"' % name in text)
