#!/usr/bin/env python3
"""What a user sees and types: GRUB's rescue CD through SeaBIOS, driven through the monitor by sendkey, looked at by screendump.
usage: screen.py PAISANO ISO [KEEP-PICTURES-HERE]"""
import os, socket, struct, subprocess, sys, tempfile, time, zlib

GREY = (0xaa, 0xaa, 0xaa)


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def read_png(path):
    """Width, height and rows of (r, g, b): 8 bits, true colour, no filters."""
    data = open(path, 'rb').read()
    assert data[:8] == b'\x89PNG\r\n\x1a\n'
    at, packed = 8, b''
    while at < len(data):
        size, kind = struct.unpack('>I4s', data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack('>I', data[at + 8 + size:at + 12 + size])[0]
        if kind == b'IHDR':
            width, height = struct.unpack('>II', body[:8])
            assert body[8:] == b'\x08\x02\0\0\0'
        elif kind == b'IDAT':
            packed += body
        at += 12 + size
    raw, rows = zlib.decompress(packed), []
    for y in range(height):
        line = raw[y * (width * 3 + 1):(y + 1) * (width * 3 + 1)]
        assert line[0] == 0
        rows.append([tuple(line[i:i + 3]) for i in range(1, len(line), 3)])
    return width, height, rows


class Machine:
    def __init__(self, paisano, iso, folder):
        self.folder = folder
        path = os.path.join(folder, 'monitor')
        self.process = subprocess.Popen([paisano, '-m', '64M', '-display', 'none', '-monitor', f'unix:{path},server,nowait', iso],
                                        stdin=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.exists(path):
                break
            time.sleep(0.1)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.answer()

    def answer(self):
        got = b''
        while not got.endswith(b'(paisano) '):
            more = self.socket.recv(4096)
            if not more:
                fail('the monitor hung up')
            got += more
        return got.decode()

    def ask(self, command):
        self.socket.sendall(command.encode() + b'\n')
        text = self.answer()
        return text[text.index('\n') + 1:-len('(paisano) ')]

    def picture(self, name):
        path = os.path.join(self.folder, name + '.png')
        said = self.ask('screendump ' + path)
        if said:
            fail('screendump: ' + said)
        return read_png(path)

    def until(self, name, found, seconds=120):
        for _ in range(int(seconds * 2)):
            result = found(*self.picture(name))
            if result is not None:
                return result
            time.sleep(0.5)
        fail(f'never seen: {name}')


def bar(width, height, rows):
    """The text row that GRUB's menu shows inverted, in an 80x25 text screen."""
    if (width, height) != (720, 400):
        return None
    for row in range(25):
        line = rows[row * 16 + 1]  # above the letters
        if sum(p == GREY for p in line) > 600:
            return row
    return None


def main():
    paisano, iso = sys.argv[1:3]
    folder = sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp()
    m = Machine(paisano, iso, folder)
    try:
        first = m.until('menu', bar)
        print(f'ok: the menu is there, row {first} is chosen')
        for step, key in ((1, 'down'), (2, 'down'), (1, 'up')):
            m.ask('sendkey ' + key)
            m.until('moved', lambda *p: True if bar(*p) == first + step else None)
        print('ok: keys move the bar')
        m.ask('sendkey c')
        m.until('prompt', lambda *p: True if p[0] == 720 and bar(*p) is None else None)
        before = m.picture('prompt')[2]
        for key in 'shift-h e l l o'.split():
            m.ask('sendkey ' + key)
        m.until('typed', lambda *p: True if sum(a != b for a, b in zip(p[2], before)) >= 8 else None)
        print('ok: the prompt echoes')
        if 'grub' not in m.ask('info block') or 'VGA' not in m.ask('info pci'):
            fail('info block or info pci')
        m.ask('eject ide1-cd0')
        if 'not inserted' not in m.ask('info block'):
            fail('eject')
        if m.ask('change ide1-cd0 ' + iso) or 'not inserted' in m.ask('info block'):
            fail('change')
        print('ok: eject and change')
        m.socket.sendall(b'quit\n')
        if m.process.wait(30):
            fail('quit did not end with 0')
    finally:
        m.process.kill()


main()
