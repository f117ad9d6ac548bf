"""Finds the functions of a C++ source by its braces: no compiler, no formatter, no exactness beyond what they give."""

import re

_RAW_STRING = re.compile(r'R"([^()\\ ]{0,16})\(')
# What a scope that is no function begins with, after `template <...>`.
_SCOPE = re.compile(r'^(?:(?:inline|typedef|static|constexpr|const)\s+)*'
                    r'(?:namespace|class|struct|union|enum|extern\s*")')
_SPECIFIERS_AFTER_PARAMETERS = re.compile(r'\)\s*(?:const|noexcept|override|final|&|\s)*$')


def blank(text):
    """The text with comments, literals and preprocessor lines as blanks, line by line as long as before."""
    out = list(text)

    def erase(begin, end):
        for k in range(begin, end):
            if out[k] != '\n':
                out[k] = ' '

    i, size = 0, len(text)
    line_start = True
    while i < size:
        begin = i
        if line_start and text[i] == '#':
            while i < size and not (text[i] == '\n' and text[i - 1] != '\\'):
                i += 1
            erase(begin, i)
        elif text.startswith('//', i):
            i = text.find('\n', i)
            i = size if i < 0 else i
            erase(begin, i)
        elif text.startswith('/*', i):
            i = text.find('*/', i + 2)
            i = size if i < 0 else i + 2
            erase(begin, i)
        elif _RAW_STRING.match(text, i) and not (i > 0 and _is_word(text[i - 1])):
            end = ')' + _RAW_STRING.match(text, i).group(1) + '"'
            i = text.find(end, i)
            i = size if i < 0 else i + len(end)
            erase(begin, i)
            out[begin] = out[i - 1] = '"'
        elif text[i] == '"' or (text[i] == "'" and not (i > 0 and _is_word(text[i - 1]))):
            i = _end_of_literal(text, i)
            erase(begin + 1, i - 1)
            out[begin] = out[i - 1] = '"'
        else:
            line_start = text[i] == '\n' or (line_start and text[i].isspace())
            i += 1
            continue
        line_start = False
    return ''.join(out)


def raw_string_lines(text):
    """Numbers of the lines that begin inside a raw string: what stands there is somebody else's."""
    without_comments = blank(text)
    lines = set()
    for begin in _RAW_STRING.finditer(text):
        # A comment is blank altogether, a literal keeps its quotes.
        if without_comments[begin.start()] != '"':
            continue
        end = text.find(')' + begin.group(1) + '"', begin.end())
        first = text.count('\n', 0, begin.start()) + 1
        lines.update(range(first + 1, first + 1 + text.count('\n', begin.start(), end)))
    return lines


def _is_word(char):
    return char.isalnum() or char == '_'


def _end_of_literal(text, begin):
    i = begin + 1
    while i < len(text) and text[i] not in (text[begin], '\n'):
        i += 2 if text[i] == '\\' else 1
    return min(i + 1, len(text))


def _without_template_heads(header):
    header = header.strip()
    while header.startswith('template'):
        depth, i = 0, header.find('<')
        if i < 0:
            break
        for k in range(i, len(header)):
            depth += (header[k] == '<') - (header[k] == '>')
            if depth == 0:
                break
        header = header[k + 1:].strip()
    return header


def _outside_parentheses(header):
    depth, out = 0, []
    for char in header:
        if char in '([':
            depth += 1
            out.append(char)
        elif char in ')]':
            depth -= 1
            out.append(char)
        elif depth == 0:
            out.append(char)
    return ''.join(out)


def _opens(header):
    """What a brace after this text opens: 'scope', 'function', 'member' (initialiser of one) or 'value'."""
    header = re.sub(r'\b(?:public|private|protected)\s*:(?!:)', ' ', header)
    header = _without_template_heads(header)
    if _SCOPE.match(header) and not _SPECIFIERS_AFTER_PARAMETERS.search(header):
        return 'scope'
    outside = _outside_parentheses(re.sub(r'operator\s*[^\w\s(]+', 'operator', header))
    if '(' not in outside or re.search(r'(?<![=!<>])=(?!=)', outside):
        return 'value'
    after_parameters = outside[outside.find(')') + 1:]
    if re.search(r'(?<!:):(?!:)', after_parameters) and re.search(r'[\w>]$', outside):
        return 'member'
    return 'function'


class _Finder:
    """Reads blanked text brace by brace."""

    def __init__(self):
        self.functions = []
        self._open = []  # Kinds of the braces that are open.
        self._begin = None  # Where the header of the next brace begins.
        self._header = []
        self._function = None  # Name and first line of the one that is open.
        self._parentheses = 0

    def read(self, text):
        line = 1
        for char in text:
            if char == '\n':
                line += 1
            if self._function or self._in_value():
                self._read_inside(char, line)
            else:
                self._read_header(char, line)
        return self.functions

    def _in_value(self):
        return bool(self._open) and self._open[-1] in ('member', 'value')

    def _read_inside(self, char, line):
        if char == '{':
            self._open.append('value' if self._in_value() else 'block')
        elif char == '}':
            kind = self._open.pop()
            if kind == 'function':
                name, first = self._function
                self.functions.append((name, first, line))
                self._function = None
                self._forget_header()
            elif not self._in_value() and not self._function:
                self._header.append('}' if kind == 'value' else ')')

    def _read_header(self, char, line):
        if char == '{' and self._parentheses == 0:
            header = ''.join(self._header).strip()
            kind = _opens(header)
            self._open.append(kind)
            if kind == 'function':
                self._function = (_name_of(header), self._begin)
            elif kind == 'scope':
                self._forget_header()
        elif char == '{':
            self._open.append('value')
        elif char == '}':
            if self._open:
                self._open.pop()
            self._forget_header()
        elif char == ';' and self._parentheses == 0:
            self._forget_header()
        else:
            self._parentheses += (char in '([') - (char in ')]')
            if self._begin is None and not char.isspace():
                self._begin = line
            self._header.append(char)
            if re.fullmatch(r'\s*(?:public|private|protected)\s*:', ''.join(self._header[-12:])):
                self._forget_header()

    def _forget_header(self):
        self._header, self._begin, self._parentheses = [], None, 0


def _name_of(header):
    for match in re.finditer(r'(operator\s*[^\s(]+|[\w:~]+)\s*\(', _without_template_heads(header)):
        if match.group(1) not in ('requires', 'noexcept', 'decltype', 'alignas'):
            return match.group(1)
    return '?'


def functions(text):
    """(name, first line, last line) of every function with a body, from its header to its closing brace."""
    return _Finder().read(blank(text))
