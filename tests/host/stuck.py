#!/usr/bin/env python3
"""Peers that stop reading a character stream: the machine goes on, its monitor answers, -timeout and signals end it, and what a
guest sends that waits for its port arrives whole when the peer goes on.
usage: stuck.py PAISANO PAISANO-IMG GUEST.elf"""
import os, pty, re, select, signal, socket, subprocess, sys, tempfile, threading, tty

from run import LIMIT, Run, check, fail, until

FULL = 1 << 20  # what is queued before a port that can wait does


class Notes:
    """The lines on stderr, as they come."""

    def __init__(self, process):
        self.text = ''
        self.thread = threading.Thread(target=self.read, args=(process.stderr,), daemon=True)
        self.thread.start()

    def read(self, stream):
        for line in stream:
            self.text += line.decode(errors='replace')


class Peer:
    """The other end of a stream, which does not read unless asked. where: the stream for the command line."""

    def __init__(self, kind, folder):
        self.kind, self.path, self.fd, self.popen = kind, os.path.join(folder, 'peer'), None, {}
        if kind == 'unix':
            self.where = f'unix:{self.path},server,nowait'
        elif kind in ('tcp', 'telnet'):
            # small segments and a small window: else the kernels' buffers take megabytes, byte by byte, before anybody waits
            self.listener = socket.socket()
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.listener.bind(('127.0.0.1', 0))
            self.listener.listen()
            self.where = f'{kind}:127.0.0.1:{self.listener.getsockname()[1]}'
        elif kind == 'pty':
            self.where = 'pty'
        elif kind == 'fifo':
            os.mkfifo(self.path)
            self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            self.where = 'file:' + self.path
        elif kind == 'stdio pipe':
            self.fd, self.write = os.pipe()
            self.where, self.popen = 'stdio', {'stdout': self.write}
        elif kind == 'stdio socket':
            pair = socket.socketpair()
            self.fd, self.write = (s.detach() for s in pair)
            self.where, self.popen = 'stdio', {'stdout': self.write}
        elif kind == 'stdio terminal':
            self.fd, self.write = pty.openpty()
            tty.setraw(self.write)
            self.where, self.popen = 'stdio', {'stdin': self.write, 'stdout': self.write}

    def connect(self, notes):
        if self.kind == 'unix':
            s = socket.socket(socket.AF_UNIX)
            until(lambda: not s.connect_ex(self.path), 'a connection')
            self.fd = s.detach()
        elif self.kind in ('tcp', 'telnet'):
            self.fd = self.listener.accept()[0].detach()
        elif self.kind == 'pty':
            until(lambda: 'connected to ' in notes.text, 'the name of the pseudo-terminal')
            self.fd = os.open(re.search(r'connected to (\S+)', notes.text)[1], os.O_RDWR | os.O_NOCTTY)
        os.set_blocking(self.fd, False)

    def read(self, count):
        got = bytearray()
        while len(got) < count:
            if not select.select([self.fd], [], [], LIMIT)[0]:
                fail(f'nothing more comes after {len(got)} bytes')
            got += os.read(self.fd, 65536)
        return bytes(got)


def goes_on(run, what):
    before = run.counter()
    until(lambda: run.counter() != before, f'{what}: the guest goes on')
    check('running' in run.ask('info status'), f'{what}: the guest goes on, the monitor answers')


def flood(tools, do, option, kind):
    what = f'{option} {kind}, do={do}'

    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(kind, folder)
        with Run(tools, do, option, peer.where, image=None, serial=False, **peer.popen) as run:
            notes = Notes(run.process)
            peer.connect(notes)
            polite = do in 'pl'
            until(lambda: ('nobody reads' if polite else 'is dropped') in notes.text, f'{what}: a line about it')
            goes_on(run, what)
            if do == 'p':
                letters = peer.read(FULL * 3 // 2)
                # the guest may have begun before there was a connection: from whatever letter on
                wanted = bytes(range(ord('a'), ord('q'))) * (len(letters) // 16 + 2)
                first = wanted.find(letters[:1])
                check(letters == wanted[first:first + len(letters)], f'{what}: all that was sent arrives')
            if do == 'f':
                peer.read(17 * FULL)
                until(lambda: 'bytes were lost' in notes.text, f'{what}: a line about what was lost')
            run.process.send_signal(signal.SIGTERM)
            check(run.process.wait(LIMIT) == 0, f'{what}: SIGTERM ends it')


def timeout(tools):
    for kind in ('unix', 'stdio pipe'):

        with tempfile.TemporaryDirectory() as folder:
            peer = Peer(kind, folder)
            with Run(tools, 'f', '-serial', peer.where, '-timeout', '15', image=None, serial=False, **peer.popen) as run:
                notes = Notes(run.process)
                peer.connect(notes)
                check(run.process.wait(LIMIT) == 10, f'-timeout ends a run whose {kind} nobody reads')


def monitor(tools):
    """One who gives commands and never reads the answers."""
    with Run(tools, 'p', '-serial', 'stdio', image=None, serial=False, stdout=subprocess.PIPE) as run:
        with socket.socket(socket.AF_UNIX) as s:
            until(lambda: not s.connect_ex(run.socket), 'a monitor')
            s.settimeout(1)
            sent = 0
            try:
                while sent < 64 << 20:
                    sent += s.send(b'help\n' * 10000)
            except socket.timeout:
                pass
            check(sent < 64 << 20, 'the monitor takes no more commands from who does not read the answers')
            check(len(run.process.stdout.read(4 << 20)) == 4 << 20, 'the guest goes on meanwhile')
            got = b''
            s.settimeout(LIMIT)
            while got.count(b'(paisano) ') < 100:
                got = got[-10:] + s.recv(1 << 20) if len(got) > 1 << 20 else got + s.recv(1 << 20)
            check(True, 'and answers when it is read')
            run.process.send_signal(signal.SIGTERM)
            run.process.stdout.close()
            check(run.process.wait(LIMIT) == 0, 'SIGTERM ends it')


def notes(tools):
    """A stderr that is full: what is said there is lost, and nothing waits for it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b'.' * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    with Run(tools, 'f', '-timeout', '3', image=None, stderr=write) as run:
        check(run.process.wait(LIMIT) == 10, '-timeout ends a run whose stderr nobody reads')


def main():
    tools = sys.argv[1:]
    for kind in ('unix', 'tcp', 'telnet', 'pty', 'fifo', 'stdio pipe', 'stdio socket', 'stdio terminal'):
        flood(tools, 'p', '-serial', kind)
    flood(tools, 'f', '-serial', 'unix')
    flood(tools, 'f', '-serial', 'stdio pipe')
    flood(tools, 'e', '-debugcon', 'unix')
    flood(tools, 'e', '-debugcon', 'stdio pipe')
    flood(tools, 'l', '-parallel', 'unix')
    timeout(tools)
    monitor(tools)
    notes(tools)


main()
