"""tidy.py FILE_OF_A_CHECKOUT: checks the sources of that checkout against rules.py and prints what breaks them.

Exit status: 0 when nothing does, 1 when something does, 2 when there is no checkout.
"""

import os
import subprocess
import sys

import rules


def sources(root):
    """Paths of the sources, relative to the root: those that git tracks, or all where there is no git."""
    command = ['git', '-C', root, 'ls-files', '-z']
    try:
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        paths = [path for path in listed.decode().split('\0') if path]
    except (OSError, subprocess.CalledProcessError):
        paths = _walk(root)
    # A tracked file may have been deleted since.
    return sorted(path for path in paths if rules.is_source(path) and os.path.isfile(os.path.join(root, path)))


def _walk(root):
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if name[0] != '.' and not name.startswith('bazel-')]
        for name in files:
            yield os.path.relpath(os.path.join(directory, name), root)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    # Bazel hands out a link to the file.
    root = os.path.dirname(os.path.realpath(arguments[0]))
    paths = sources(root)
    if 'WORKSPACE' not in paths:
        print('tidy: %s is no checkout of a workspace' % root, file=sys.stderr)
        return 2
    violations = 0
    for path in paths:
        with open(os.path.join(root, path), encoding='utf-8') as source:
            for line, message in rules.check(path, source.read()):
                print('%s:%d: %s' % (path, line, message))
                violations += 1
    print('tidy: %d sources, %d violations' % (len(paths), violations))
    return 1 if violations else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
