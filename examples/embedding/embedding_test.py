#!/usr/bin/env python3
"""embedding_test.py IN_EPOLL IN_ASIO: runs each program on each backend that it can embed."""

import os
import re
import subprocess
import sys
import unittest

IN_EPOLL, IN_ASIO = [os.path.abspath(path) for path in sys.argv[1:3]]
# Nothing here waits for time to pass; this only ends what hangs.
TIMEOUT = 30
GUEST = 'guest on %s: 100 messages echoed, 5 timers, 5 posts'


def run(*command):
    """Exit status of a program that ends by itself, and what it wrote."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class EmbeddingTest(unittest.TestCase):

    def check_both_progress(self, program, backend):
        status, output, errors = run(program, '--backend=' + backend)
        if status == 1 and re.search(r': io_uring_setup: E', errors):
            self.skipTest(errors)
        self.assertEqual((status, errors), (0, ''))
        host, guest = output.splitlines()
        timers, datagrams = map(int, re.fullmatch(r'host: (\d+) timers, (\d+) datagrams', host).groups())
        # Every tick sends a datagram; those sent last may still be underway.
        self.assertGreaterEqual(datagrams, 5)
        self.assertLessEqual(datagrams, timers)
        self.assertEqual(guest, GUEST % backend)

    def test_epoll_in_epoll(self):
        self.check_both_progress(IN_EPOLL, 'epoll')

    def test_io_uring_in_epoll(self):
        self.check_both_progress(IN_EPOLL, 'io_uring')

    def test_epoll_in_asio(self):
        self.check_both_progress(IN_ASIO, 'epoll')

    def test_io_uring_in_asio(self):
        self.check_both_progress(IN_ASIO, 'io_uring')

    def test_asio_in_the_context_of_the_application(self):
        self.check_both_progress(IN_ASIO, 'asio')

    def test_auto_takes_one_of_them(self):
        for program in (IN_EPOLL, IN_ASIO):
            status, output, errors = run(program)
            self.assertEqual((status, errors), (0, ''))
            self.assertRegex(output, GUEST % r'(epoll|io_uring)')

    def test_says_what_is_wrong(self):
        for program in (IN_EPOLL, IN_ASIO):
            status, _, errors = run(program, '--backend=nosuch')
            self.assertEqual(status, 1)
            self.assertRegex(errors, r'loop backend "nosuch" is not linked.*linked: epoll, io_uring')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
