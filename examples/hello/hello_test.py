#!/usr/bin/env python3
"""hello_test.py SERVER CLIENT ECHO: runs the binaries against plain sockets, on each backend that they are linked with."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import unittest

SERVER, CLIENT, ECHO = [os.path.abspath(path) for path in sys.argv[1:4]]
# Nothing here waits for time to pass; this only ends what hangs.
TIMEOUT = 30


def run(*command):
    """Runs a command that ends by itself: its exit status and what it wrote to standard error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    return done.returncode, done.stderr.decode()


def linked_backends():
    """The names that the server lists when it is given another."""
    _, errors = run(SERVER, '--backend=nosuch')
    return re.search(r'"nosuch" is not linked.*; linked: ([\w, ]+);', errors).group(1).split(', ')


LINKED = linked_backends()


def skip_where_refused(errors):
    """A host may refuse io_uring to everyone; the error says so."""
    if 'io_uring_setup: E' in errors:
        raise unittest.SkipTest(errors)


def receive(connection, size):
    data = b''
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            break
        data += part
    return data


class Server:
    """A server on a free port, in a process group of its own."""

    def __init__(self, *flags, descriptors=None):
        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.process = subprocess.Popen(
            [SERVER, '--port=0', *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=limit)
        self.greeting = self.process.stdout.readline().decode()
        match = re.match(r'listening at (.*):(\d+) on (\w+)\n$', self.greeting)
        if not match:
            _, errors = self.process.communicate(timeout=TIMEOUT)
            skip_where_refused(errors.decode())
            raise AssertionError('%r, %r' % (self.greeting, errors))
        self.port = int(match.group(2))
        self.backend = match.group(3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=TIMEOUT)

    def connect(self):
        return socket.create_connection(('127.0.0.1', self.port), timeout=TIMEOUT)

    def stop(self, signal_number):
        """Exit status after the signal, and what was written to standard error."""
        self.process.send_signal(signal_number)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors.decode()

    def left_over(self):
        """Whether a process of its group still lives."""
        try:
            os.killpg(self.process.pid, 0)
            return True
        except ProcessLookupError:
            return False


class ServerOn:
    """What the server does on a backend, whichever it is."""

    backend = None

    @classmethod
    def setUpClass(cls):
        # Where the backend runs, the client gets as far as to find nobody at that port.
        _, errors = run(CLIENT, '--backend=' + cls.backend, '--port=1', 'hello')
        skip_where_refused(errors)

    def server(self, *flags, **options):
        return Server('--backend=' + self.backend, *flags, **options)

    def test_sends_back_what_it_receives(self):
        with self.server() as server:
            connections = [server.connect() for _ in range(20)]
            for number, connection in enumerate(connections):
                connection.sendall(b'hello %d' % number)
            for number, connection in enumerate(connections):
                expected = b'hello %d' % number
                self.assertEqual(receive(connection, len(expected)), expected)
            for connection in connections:
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(connection.recv(1), b'', 'the end is answered by the end')
                connection.close()
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_sends_back_more_than_buffers_hold(self):
        with self.server() as server, server.connect() as connection:
            data = os.urandom(1 << 20)
            connection.setblocking(False)
            sent, received = 0, b''
            # Both directions at once: neither side may wait for the other to read first.
            while len(received) < len(data):
                try:
                    if sent < len(data):
                        sent += connection.send(data[sent:sent + 65536])
                except BlockingIOError:
                    pass
                connection.settimeout(TIMEOUT if sent == len(data) else 0.01)
                try:
                    received += connection.recv(65536)
                except socket.timeout:
                    pass
                connection.setblocking(False)
            self.assertEqual(received, data)
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_a_signal_stops_it_and_closes_its_connections(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.server() as server, server.connect() as connection:
                connection.sendall(b'x')
                self.assertEqual(receive(connection, 1), b'x', 'the connection is not served')
                self.assertEqual(server.stop(number), (0, ''))
                self.assertEqual(connection.recv(1), b'')
                self.assertFalse(server.left_over())
                with self.assertRaises(ConnectionRefusedError):
                    server.connect()

    def test_a_peer_that_resets_costs_no_other(self):
        with self.server() as server, server.connect() as other:
            with server.connect() as rude:
                linger_zero = b'\x01\0\0\0\0\0\0\0'
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
                rude.sendall(b'x' * 100000)
            other.sendall(b'still there')
            self.assertEqual(receive(other, 11), b'still there')
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_serves_on_when_descriptors_ran_out(self):
        with self.server(descriptors=20) as server:
            connections = [server.connect() for _ in range(40)]
            for connection in connections:
                connection.sendall(b'x')
            # Those at the front are served; closing them makes room for those behind.
            for connection in connections:
                self.assertEqual(receive(connection, 1), b'x')
                connection.close()
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_is_the_one_that_was_asked_for(self):
        with self.server() as server:
            self.assertEqual(server.backend, self.backend)
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_answers_the_client_on_every_other(self):
        for client in LINKED:
            with self.server() as server:
                status, errors = run(CLIENT, '--backend=' + client, '--port=%d' % server.port, 'hello')
                if 'io_uring_setup: E' not in errors:
                    self.assertEqual((status, errors), (0, ''))

    def test_of_echo_is_chosen_by_its_argument(self):
        with subprocess.Popen([ECHO, self.backend], stdout=subprocess.PIPE) as echo:
            host, port = echo.stdout.readline().decode().split(':')
            for _ in range(3):
                with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
                    connection.sendall(b'hello')
                    self.assertEqual(receive(connection, 5), b'hello')
            echo.terminate()
            self.assertEqual(echo.wait(timeout=TIMEOUT), -signal.SIGTERM)

    def test_points_at_a_mistake_in_the_allocator(self):
        status, errors = run(SERVER, '--alloc=sistem')
        self.assertEqual(status, 1)
        self.assertIn('no allocator "sistem" is linked', errors)
        self.assertIn('  sistem\n  ^', errors)

    def test_listens_at_ipv6(self):
        try:
            socket.create_server(('::1', 0), family=socket.AF_INET6).close()
        except OSError as refusal:
            self.skipTest('no IPv6 here: %s' % refusal)
        with self.server('--host=::1') as server:
            self.assertIn('[::1]:', server.greeting)
            with socket.create_connection(('::1', server.port), timeout=TIMEOUT) as connection:
                connection.sendall(b'six')
                self.assertEqual(receive(connection, 3), b'six')
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))


for _name in LINKED:
    globals()['ServerOn_' + _name] = type('ServerOn_' + _name, (ServerOn, unittest.TestCase), {'backend': _name})


class ServerTest(unittest.TestCase):

    def test_automatic_choice_is_the_first_that_runs(self):
        with Server() as server:
            self.assertIn(server.backend, LINKED)
            if 'io_uring' not in LINKED:
                self.assertEqual(server.backend, LINKED[0])
            self.assertEqual(server.stop(signal.SIGTERM), (0, ''))

    def test_has_nothing_of_backends_that_are_not_linked(self):
        symbols = subprocess.run(['nm', '-C', SERVER], stdout=subprocess.PIPE, check=True).stdout
        self.assertIn(b'tenon::Loop::Submit', symbols)
        for backend, mark in (('epoll', b'tenon::epoll::'), ('io_uring', b'tenon::io_uring::'),
                              ('io_uring', b'io_uring_queue_init'), ('asio', b'tenon::asio::')):
            self.assertEqual(mark in symbols, backend in LINKED, mark)

    def test_says_what_is_wrong_with_the_command_line(self):
        for flag, expected in (
                ('--backend=nosuch', 'NOT_FOUND: loop backend "nosuch" is not linked.*linked: ' + ', '.join(LINKED)),
                ('--host=localhost', r'"localhost" is not a numeric address'),
                ('--host=192.0.2.1', r'bind to 192\.0\.2\.1:0.*not an address of this machine'),
                ('--port=65536', r"Illegal value '65536' specified for flag 'port'"),
                ('--nosuch=1', r"Unknown command line flag 'nosuch'"),
                ('nosuch', r'unexpected argument "nosuch"')):
            status, errors = run(SERVER, '--port=0', flag)
            self.assertEqual(status, 1, flag)
            self.assertRegex(errors, expected)

    def test_says_that_the_port_is_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
            status, errors = run(SERVER, '--port=%d' % port)
        self.assertEqual(status, 1)
        self.assertRegex(errors, r'bind to 127\.0\.0\.1:%d: EADDRINUSE .*choose another port' % port)


class ClientTest(unittest.TestCase):

    def test_prints_the_answer_of_its_server(self):
        with Server() as server:
            answer = subprocess.run([CLIENT, '--port=%d' % server.port, 'hello, world'],
                                    stdout=subprocess.PIPE, timeout=TIMEOUT)
            self.assertEqual((answer.returncode, answer.stdout), (0, b'hello, world\n'))

    def test_of_a_plain_socket_too(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            client = subprocess.Popen([CLIENT, '--port=%d' % listener.getsockname()[1], 'hello'],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            connection, _ = listener.accept()
            with connection:
                self.assertEqual(receive(connection, 5), b'hello')
                connection.sendall(b'hellx')
            output, errors = client.communicate(timeout=TIMEOUT)
        self.assertEqual((client.returncode, output), (1, b'hellx\n'))
        self.assertIn(b'DATA_LOSS', errors)

    def test_says_what_is_wrong(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            free = taken.getsockname()[1]
        status, errors = run(CLIENT, '--port=%d' % free, 'hello')
        self.assertEqual(status, 1)
        self.assertIn('ECONNREFUSED', errors)
        status, errors = run(CLIENT)
        self.assertEqual(status, 1)
        self.assertIn('give one MESSAGE', errors)


class EchoTest(unittest.TestCase):

    def test_says_that_a_backend_is_not_linked(self):
        status, errors = run(ECHO, 'nosuch')
        self.assertEqual(status, 1)
        self.assertRegex(errors, 'NOT_FOUND: loop backend "nosuch" is not linked.*linked: ' + ', '.join(LINKED))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
