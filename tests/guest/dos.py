#!/usr/bin/env python3
"""A DOS-style program on a floppy disk of its own under SeaBIOS: BIOS calls, the timer, the disk it writes and formats, and
pictures in the old and the VESA modes, compared pixel by pixel with computed ones. Then GRUB's rescue floppy, on the screen.
usage: dos.py PAISANO PROGRAM GRUB-IMAGE FOLDER-FOR-PICTURES"""
import atexit, os, shutil, socket, subprocess, sys, tempfile, time

from peer import LIMIT


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


class Machine:
    def __init__(self, paisano, tmp, floppy, *options):
        self.socket, self.port = os.path.join(tmp, 'monitor'), os.path.join(tmp, 'port')
        self.picture = os.path.join(tmp, 'screen.ppm')
        for path in (self.socket, self.port):
            if os.path.exists(path):
                os.unlink(path)
        self.process = subprocess.Popen([paisano, '-m', '32M', '-display', 'none', '-fda', floppy, '-boot', 'a', '-monitor',
                                         f'unix:{self.socket},server,nowait', '-debugcon', f'file:{self.port}', *options],
                                        stdin=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.read = 0
        end = time.monotonic() + LIMIT
        while True:
            self.monitor = socket.socket(socket.AF_UNIX)
            try:
                self.monitor.connect(self.socket)
                break
            except OSError:
                self.monitor.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    fail('no monitor')
                time.sleep(0.05)
        self.monitor.settimeout(LIMIT)
        self.answer()

    def answer(self):
        text = b''
        while not text.endswith(b'(paisano) '):
            got = self.monitor.recv(65536)
            if not got:
                fail('the monitor hung up')
            text += got
        return text.decode()

    def ask(self, command):
        self.monitor.sendall(command.encode() + b'\n')
        return self.answer()

    def said(self, count):
        """What the program has said on port E9h since the last time."""
        end = time.monotonic() + LIMIT
        while True:
            if os.path.exists(self.port) and os.path.getsize(self.port) >= self.read + count:
                break
            if time.monotonic() > end or self.process.poll() is not None:
                with open(self.port, 'rb') as f:
                    fail(f'the program has only said {f.read()[self.read:]!r}')
            time.sleep(0.02)
        with open(self.port, 'rb') as f:
            f.seek(self.read)
            self.read += count
            return f.read(count)

    def screen(self):
        """Width, height and RGB bytes."""
        self.ask('screendump ' + self.picture)
        with open(self.picture, 'rb') as f:
            data = f.read()
        magic, size, deepest, pixels = data.split(b'\n', 3)
        if magic != b'P6' or deepest != b'255':
            fail('the picture is no PPM')
        width, height = map(int, size.split())
        return width, height, pixels

    def keep(self, folder, what):
        os.makedirs(folder, exist_ok=True)
        self.ask('screendump ' + os.path.join(folder, what.replace(',', '').replace(' ', '-') + '.png'))

    def quit(self):
        self.monitor.sendall(b'quit\n')
        check(self.process.wait(LIMIT) == 0, 'ends when told to')


def six(v):
    return (v & 63) << 2 | (v & 63) >> 4


PALETTE = [bytes((six(i), six(3 * i), six(~i))) for i in range(256)]


def indexed(width, height, scale, colour):
    """A picture by palette indices, every dot scale times as wide and high."""
    rows = []
    for y in range(height):
        rows.append(b''.join(PALETTE[colour(x, y)] * scale for x in range(width)) * scale)
    return width * scale, height * scale, b''.join(rows)


def text(font):
    screen = [[(32, 7)] * 80 for _ in range(25)]
    for i, c in enumerate(b'Hello from INT 10h'):
        screen[0][i] = (c, 7)
    for i in range(256):
        screen[10 + i // 80][i % 80] = (i, i & 0x7f)
    rows = []
    for line in range(400):
        row = []
        for c, attribute in screen[line // 16]:
            bits = font[c * 16 + line % 16] << 1
            if 0xc0 <= c < 0xe0:
                bits |= bits >> 1 & 1
            row += [PALETTE[attribute & 15 if bits >> dot & 1 else attribute >> 4] for dot in range(8, -1, -1)]
        rows.append(b''.join(row))
    return 720, 400, b''.join(rows)


def direct():
    rows = []
    for y in range(600):
        row = bytearray()
        for x in range(800):
            v = (x * 3 + y * 65) & 0xffff
            r, g, b = v >> 11, v >> 5 & 63, v & 31
            row += bytes((r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2))
        rows.append(bytes(row))
    return 800, 600, b''.join(rows)


def deep(width, height, bits):
    """A VESA mode: dot (x, y) is x * 0x010203 + y * 0x050709, as many bits of it as there are."""
    if bits == 8:
        colour = PALETTE
    elif bits < 24:
        high = bits - 10  # bits of green

        def widen(v, n):
            return v << (8 - n) | v >> (2 * n - 8)
        colour = [bytes((widen(v >> high + 5 & 31, 5), widen(v >> 5 & (1 << high) - 1, high), widen(v & 31, 5)))
                  for v in range(1 << 16)]
    rows = []
    for y in range(height):
        values = range(y * 0x050709, y * 0x050709 + width * 0x010203, 0x010203)
        if bits >= 24:
            rows.append(b''.join((v & 0xffffff).to_bytes(3, 'big') for v in values))
        else:
            rows.append(b''.join([colour[v & (255 if bits == 8 else 0xffff)] for v in values]))
    return width, height, b''.join(rows)


DEEP = ((640, 480, 15), (1024, 768, 16), (1024, 768, 24), (1280, 1024, 32), (1600, 1200, 8), (2560, 1600, 32))


def same(got, want, what):
    check(got[:2] == want[:2], f'{what}: {want[0]}x{want[1]} (seen {got[0]}x{got[1]})')
    if got[2] != want[2]:
        at = next(i for i in range(len(want[2])) if got[2][i] != want[2][i]) // 3
        fail(f'{what}: pixel {at % want[0]},{at // want[0]} is {got[2][at * 3:at * 3 + 3].hex()}, '
             f'not {want[2][at * 3:at * 3 + 3].hex()}')
    print(f'ok: {what}: every pixel')


def program(paisano, image, tmp, folder):
    floppy = os.path.join(tmp, 'dos.img')
    with open(image, 'rb') as f:
        boot = f.read()
    with open(floppy, 'wb') as f:
        f.write(boot.ljust(1440 << 10, b'\0'))
    machine = Machine(paisano, tmp, floppy)
    for letter, what in ((b'B', 'the program is loaded (INT 13h)'), (b'P', 'timer channel 2 and port 61h'),
                         (b'M', 'INT 15h: memory size and wait'), (b'D', 'INT 13h: shape, write, read back, format'),
                         (b'F', 'x87 errors: IRQ13, INT 75h, INT 2')):
        check(machine.said(1) == letter, what)
    font = machine.said(4096)
    pictures = (
        ('text 80x25', lambda: text(font)),
        ('CGA 320x200x4', lambda: indexed(320, 200, 2, lambda x, y: x // 2 + y & 3)),
        ('planar 640x480x16', lambda: indexed(640, 480, 1, lambda x, y: x // 2 + y & 15)),
        ('320x200x256', lambda: indexed(320, 200, 2, lambda x, y: x // 2 + y & 255)),
        ('mode X', lambda: indexed(320, 200, 2, lambda x, y: ~(x // 2 + y) & 255)),
        ('VESA 640x480x256', lambda: indexed(640, 480, 1, lambda x, y: x // 2 + y & 255)),
        ('VESA 800x600, 16 bits', direct),
    )
    for i, (what, want) in enumerate(pictures):
        check(machine.said(1) == b'%d' % (i + 1), f'{what}: drawn')
        same(machine.screen(), want(), what)
        machine.keep(folder, what)
        key = 'abcdefg'[i]
        machine.ask('sendkey ' + key)
        check(machine.said(1) == key.encode(), 'INT 16h gives the key that was pressed')
    for shape in DEEP:
        what = 'VESA %dx%d, %d bits' % shape
        check(machine.said(2) == b'vV', f'{what}: drawn')
        same(machine.screen(), deep(*shape), what)
        machine.keep(folder, what)
        machine.ask('sendkey v')
        machine.said(1)
    check(machine.said(1) == b'Z', 'the program has ended')
    machine.quit()
    with open(floppy, 'rb') as f:
        data = f.read()
    check(data[-512:] == bytes((7 + 13 * i) & 255 for i in range(512)), 'what the program wrote is in the image')
    track = (78 * 36 + 18) * 512
    check(data[track:track + 18 * 512] == b'\xf6' * (18 * 512), 'the track that it formatted is, too')
    check(data[:len(boot)] == boot, 'the rest is as it was')
    return font


def words(machine, font):
    """What a text screen says, read from its picture by the font that the BIOS gave."""
    width, height, pixels = machine.screen()
    if (width, height) != (720, 400):
        return ''
    letters = {font[c * 16:c * 16 + 16]: chr(c) for c in range(32, 127)}
    lines = []
    for row in range(25):
        line = ''
        for column in range(80):
            at = (row * 16 * 720 + column * 9) * 3
            ground = pixels[at:at + 3]
            shape = bytes(sum((pixels[at + (y * 720 + x) * 3:at + (y * 720 + x) * 3 + 3] != ground) << (7 - x) for x in range(8))
                          for y in range(16))
            line += letters.get(shape, '?')
        lines.append(line.rstrip())
    return '\n'.join(lines)


def wait_for(machine, font, what):
    end = time.monotonic() + LIMIT
    while what not in words(machine, font):
        if time.monotonic() > end:
            fail(f'no {what!r} on the screen:\n{words(machine, font)}')
        time.sleep(0.5)
    print(f'ok: {what!r} on the screen')


def grub(paisano, image, tmp, font):
    floppy = os.path.join(tmp, 'grub.img')
    shutil.copyfile(image, floppy)
    machine = Machine(paisano, tmp, floppy)
    wait_for(machine, font, 'GNU GRUB')
    machine.ask('sendkey c')
    wait_for(machine, font, 'grub>')
    for key in ('l', 's', 'ret'):
        machine.ask('sendkey ' + key)
    wait_for(machine, font, '(fd0)')
    machine.quit()


def main():
    paisano, image, rescue, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        font = program(paisano, image, tmp, folder)
        grub(paisano, rescue, tmp, font)


main()
