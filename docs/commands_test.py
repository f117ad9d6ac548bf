"""commands_test.py FILE_OF_A_CHECKOUT: prints what in the documents of that checkout is not so, and fails if there is any."""

import os
import sys

import documents


def main(arguments):
    # Bazel hands out a link to the file.
    root = os.path.dirname(os.path.realpath(arguments[0]))
    read = documents.Documents(root)
    problems = read.problems()
    for problem in problems:
        print(problem)
    print('%d documents, %d problems' % (len(read.paths), len(problems)))
    return 1 if problems or not read.paths else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
