"""The rules of STYLE.md that text alone can break."""

import ast
import os
import re

import cpp_functions

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600
MAX_CPP_COLUMNS = 100

_CPP = ('.cc', '.h', '.inc')
_STARLARK = ('.bzl', '.bazel')
# Names that say nothing of what is inside.
_EMPTY_NAMES = {'util', 'utils', 'misc', 'common', 'helper', 'helpers'}
# In two parts, so that this file keeps the rule itself.
_LEFT_OVER = re.compile(r'\b(FIX' r'ME|XX' r'X)\b')
_TO_DO = re.compile(r'\bTO' r'DO\b')
_TO_DO_FORM = re.compile(r'\bTO' r'DO\(#[a-z0-9][a-z0-9-]*\): \S')


def is_source(path):
    """Whether the rules are for this file."""
    name = os.path.basename(path)
    return name.endswith(_CPP + _STARLARK + ('.py', '.sh')) or name in ('BUILD', 'WORKSPACE', 'bazelw')


def check(path, text):
    """Violations in one source, each as (line, message); `path` is relative to the repository."""
    found = _check_name(path)
    lines = text.split('\n')
    if len(lines) - 1 > MAX_FILE_LINES:
        found.append((1, '%d lines; at most %d' % (len(lines) - 1, MAX_FILE_LINES)))
    for number, line in enumerate(lines, 1):
        found += [(number, message) for message in _check_words(line)]
    if path.endswith(_CPP):
        found += _check_columns(text, lines)
    for name, first, last in _functions(path, text):
        if last - first + 1 > MAX_FUNCTION_LINES:
            found.append((first, '%s has %d lines; at most %d' % (name, last - first + 1, MAX_FUNCTION_LINES)))
    if path.endswith('.h'):
        found += _check_header(path, lines)
    return sorted(found)


def guard_of(path):
    """The include guard of a header: TENON_CORE_LOOP_LOOP_H_ for core/loop/loop.h."""
    return 'TENON_%s_' % re.sub(r'\W', '_', path).upper()


def _check_name(path):
    parts = path.split('/')
    stem = parts[-1].split('.')[0]
    bad = [part for part in parts[:-1] + [stem] if part.lower() in _EMPTY_NAMES]
    return [(1, 'the name "%s" does not say what is inside' % part) for part in bad]


def _check_words(line):
    if _LEFT_OVER.search(line):
        yield 'nothing is left to be fixed later: fix it, or write a TO' 'DO(#topic)'
    if _TO_DO.search(line) and not _TO_DO_FORM.search(line):
        yield 'write it as TO' 'DO(#topic): sentence'


def _check_columns(text, lines):
    # Neither an include nor a raw string can be broken.
    free = cpp_functions.raw_string_lines(text)
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_CPP_COLUMNS and number not in free and not line.startswith('#include'):
            yield number, '%d columns; at most %d' % (len(line), MAX_CPP_COLUMNS)


def _check_header(path, lines):
    if not lines[0].startswith('// '):
        yield 1, 'a header begins with a comment that says what it is for'
    guard = guard_of(path)
    directives = [(n, line) for n, line in enumerate(lines, 1) if line.startswith('#')]
    begins = [line for _, line in directives[:2]] == ['#ifndef ' + guard, '#define ' + guard]
    if not begins or directives[-1][1] != '#endif  // ' + guard:
        yield directives[0][0] if directives else 1, 'its include guard is not ' + guard


def _functions(path, text):
    if path.endswith(_CPP):
        return cpp_functions.functions(text)
    # Macros in Starlark are lists of declarations, which no shorter function would make clearer.
    if path.endswith('.py'):
        return [(node.name, node.lineno, node.end_lineno)
                for node in ast.walk(ast.parse(text, path)) if isinstance(node, ast.FunctionDef)]
    if path.endswith('.sh') or os.path.basename(path) == 'bazelw':
        return _shell_functions(text)
    return []


def _shell_functions(text):
    found, name, first = [], None, 0
    for number, line in enumerate(text.split('\n'), 1):
        begins = re.match(r'(\w+)\(\) \{', line)
        if begins:
            name, first = begins.group(1), number
        elif line == '}' and name:
            found.append((name, first, number))
            name = None
    return found
