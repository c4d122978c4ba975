"""What several guest tests need: sockets of the emulator, waiting for words, failing."""
import socket, sys, time

LIMIT = 600  # seconds without progress before a step counts as failed: time serves to give up, and nothing else


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


class Peer:
    """The other end of a socket that the emulator opens."""

    def __init__(self, path):
        end = time.monotonic() + LIMIT
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    fail(f'nobody opens {path}')
                time.sleep(0.05)
        self.socket.settimeout(LIMIT)
        self.text = b''

    def expect(self, words):
        """Everything up to and including the words."""
        while words not in self.text:
            try:
                got = self.socket.recv(65536)
            except socket.timeout:
                got = b''
            if not got:
                fail(f'no {words!r}; it ended with:\n{self.text[-2000:].decode(errors="replace")}')
            self.text += got
        end = self.text.index(words) + len(words)
        before, self.text = self.text[:end], self.text[end:]
        return before.decode(errors='replace')

    def type(self, text):
        for key in text.encode():  # a byte at a time: a serial port has no flow control
            self.socket.sendall(bytes([key]))
            time.sleep(0.01)

    def send(self, text):
        self.socket.sendall(text.encode())
