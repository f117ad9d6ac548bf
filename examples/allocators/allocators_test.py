#!/usr/bin/env python3
"""allocators_test.py HANDOFF WHOLE_PROCESS: runs both programs, the first with many an allocator."""

import os
import subprocess
import sys
import unittest

HANDOFF, WHOLE_PROCESS = [os.path.abspath(path) for path in sys.argv[1:3]]
# Nothing here waits for time to pass; this only ends what hangs.
TIMEOUT = 60


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Handoff(unittest.TestCase):
    def test_frees_everything_whatever_the_allocator(self):
        for spec in ('system', 'counting(system)', 'tracking(concurrent)', 'guarded(tracking(arena))',
                     'tracking(quota(256KiB, jemalloc))', 'tracking(jemalloc_arena)', 'poison(concurrent)'):
            with self.subTest(spec=spec):
                status, output, errors = run(HANDOFF, '--messages=20000', '--alloc=' + spec)
                self.assertEqual((status, errors), (0, ''))
                if spec != 'system':
                    self.assertIn(' 0 live', output)

    def test_a_quota_holds_the_producer_up(self):
        status, output, _ = run(HANDOFF, '--messages=20000', '--alloc=tracking(quota(8KiB))')
        self.assertEqual(status, 0)
        self.assertNotIn(' 0 refused', output)

    def test_what_is_forgotten_is_named_with_its_place(self):
        status, output, errors = run(HANDOFF, '--messages=100', '--forget=7')
        self.assertEqual(status, 1)
        self.assertIn('7 live', output)
        self.assertIn('handoff.cc', output)
        self.assertIn('were not freed', errors)

    def test_refuses_an_allocator_for_one_thread(self):
        status, _, errors = run(HANDOFF, '--alloc=arena')
        self.assertEqual(status, 1)
        self.assertIn('guarded', errors)

    def test_points_at_a_mistake(self):
        status, _, errors = run(HANDOFF, '--alloc=quota(64MB, system)')
        self.assertEqual(status, 1)
        self.assertIn('\n  quota(64MB, system)\n        ^', errors)

    def test_help_lists_the_allocators(self):
        _, output, _ = run(HANDOFF, '--help')
        self.assertIn('quota(bytes, ALLOCATOR)', output)


class WholeProcess(unittest.TestCase):
    def test_is_served_by_jemalloc(self):
        status, output, errors = run(WHOLE_PROCESS)
        self.assertEqual((status, errors), (0, ''))
        self.assertIn('from jemalloc', output)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
