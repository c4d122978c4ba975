"""A guest with a screen and a keyboard, worked through the monitor: looks by screendump, types by sendkey, reads what a text
screen says by the shapes of its letters. Pictures that a test names are kept in its folder."""
import os, socket, struct, subprocess, tempfile, time, zlib
from peer import LIMIT, fail

PROMPT = b'(paisano) '
VGA_BIOS = '/usr/share/seabios/vgabios-stdvga.bin'
LETTER_A = bytes.fromhex('00001038 6cc6c6fe c6c6c6c6 00000000')
UNIFONT, UNIFONT_ASCENT = '/usr/share/grub/unicode.pf2', 14
# The VGA font of Linux and of memtest86+, where it differs from that of the VGA BIOS.
LINUX_LETTERS = {bytes.fromhex(shape): letter for letter, shape in {
    '0': '0000386cc6c6d6d6c6c66c3800000000', 'M': '0000c6eefefed6c6c6c6c6c600000000', 'T': '00007e7e5a1818181818183c00000000',
    'X': '0000c6c66c7c38387c6cc6c600000000', 'Y': '0000666666663c181818183c00000000', 'f': '00001c36323078303030307800000000',
    'w': '0000000000c6c6d6d6d6fe6c00000000', 'm': '0000000000ecfed6d6d6d6c600000000', 'v': '0000000000c6c6c6c6c66c3800000000',
    'x': '0000000000c66c3838386cc600000000'}.items()}
KEYS = {' ': 'spc', '\n': 'ret', '\t': 'tab', '-': 'minus', '=': 'equal', '/': 'slash', '.': 'dot', ',': 'comma',
        ':': 'shift-semicolon'}


def read_png(path):
    """Width, height and RGB bytes: 8 bits, true colour, no filters."""
    with open(path, 'rb') as f:
        data = f.read()
    if data[:8] != b'\x89PNG\r\n\x1a\n':
        fail(f'{path} is no PNG')
    at, packed = 8, b''
    while at < len(data):
        size, kind = struct.unpack('>I4s', data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if zlib.crc32(kind + body) != struct.unpack('>I', data[at + 8 + size:at + 12 + size])[0]:
            fail(f'{path}: checksum of {kind}')
        if kind == b'IHDR':
            width, height = struct.unpack('>II', body[:8])
            if body[8:] != b'\x08\x02\0\0\0':
                fail(f'{path}: not 8 bits true colour')
        elif kind == b'IDAT':
            packed += body
        at += 12 + size
    raw, row = zlib.decompress(packed), width * 3 + 1
    if any(raw[::row]):
        fail(f'{path}: a filter')
    return width, height, b''.join(raw[y * row + 1:(y + 1) * row] for y in range(height))


def write_png(path, width, height, rows):
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    packed = zlib.compress(b''.join(b'\0' + row for row in rows))
    with open(path, 'wb') as f:
        f.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>II5B', width, height, 8, 2, 0, 0, 0)) + chunk(b'IDAT', packed) +
                chunk(b'IEND', b''))


def rom_letters():
    """The 8x16 letters of the VGA BIOS, found there by the shape of one."""
    with open(VGA_BIOS, 'rb') as f:
        rom = f.read()
    at = rom.find(LETTER_A)
    if at < 65 * 16:
        fail(f'no font in {VGA_BIOS}')
    return {rom[at + (c - 65) * 16:at + (c - 64) * 16]: chr(c) for c in range(32, 127)}


def unifont_letters():
    """Those of GNU Unifont, from GRUB's copy in its PFF2 format: sections of name, size and content; an index of code point, flags
    and offset; glyphs of width, height, two offsets, advance and dots without padding."""
    with open(UNIFONT, 'rb') as f:
        data = f.read()
    at, section = 0, {}
    while at + 8 <= len(data):
        name, size = struct.unpack('>4sI', data[at:at + 8])
        section[name] = data[at + 8:at + 8 + size]
        if name == b'DATA':
            break
        at += 8 + size
    index, letters = section[b'CHIX'], {}
    for code, _, offset in struct.iter_unpack('>IBI', index):
        width, height, left, up, _ = struct.unpack('>HHhhh', data[offset:offset + 10])
        if not 32 < code < 127 or left < 0 or left + width > 8:
            continue
        dots = int.from_bytes(data[offset + 10:offset + 10 + (width * height + 7) // 8], 'big') >> -(width * height) % 8
        rows = [0] * 16
        for y in range(height):
            rows[UNIFONT_ASCENT - up - height + y] = (dots >> (height - 1 - y) * width & (1 << width) - 1) << 8 - left - width
        letters[bytes(rows)] = chr(code)
    return letters


class Font:
    """Letters by their shapes."""

    def __init__(self):
        self.letters = {**unifont_letters(), **LINUX_LETTERS, **rom_letters()}

    def letter(self, shape):
        return self.letters.get(shape, '?')


class Picture:
    def __init__(self, width, height, pixels):
        self.size = (width, height)
        self.width, self.height, self.pixels = width, height, pixels

    def __eq__(self, other):
        return self.size == other.size and self.pixels == other.pixels

    def row(self, y):
        return self.pixels[y * self.width * 3:(y + 1) * self.width * 3]

    def at(self, x, y):
        return self.pixels[(y * self.width + x) * 3:(y * self.width + x) * 3 + 3]

    def band(self, is_colour, share, top=0, least=8):
        """First line and height of the first block of at least so many lines in which that share of the pixels passes; None."""
        first, passes = None, {}
        for y in range(top, self.height):
            row = self.row(y)
            count = 0
            for x in range(0, len(row), 12):  # every fourth will do
                pixel = row[x:x + 3]
                if pixel not in passes:
                    passes[pixel] = is_colour(*pixel)
                count += passes[pixel]
            if count * 4 >= share * self.width:
                first = y if first is None else first
            else:
                if first is not None and y - first >= least:
                    return first, y - first
                first = None
        return None

    def words(self, font, cell=None, left=0, top=0):
        """The lines of a text screen; what is no letter or digit is a question mark."""
        cell = cell or (9 if self.size == (720, 400) else 8)
        lines = []
        for y in range(top, self.height - top - 15, 16):
            rows = [self.row(y + i) for i in range(16)]
            line = ''
            for x in range(left * 3, (self.width - left - cell + 1) * 3, cell * 3):
                ground = rows[0][x:x + 3]
                line += font.letter(bytes(sum((rows[i][x + d * 3:x + d * 3 + 3] != ground) << (7 - d) for d in range(8))
                                          for i in range(16)))
            lines.append(line.rstrip())
        return '\n'.join(lines)


class Machine:
    """folder: where named pictures are kept (made if needed); None: nowhere."""

    def __init__(self, paisano, folder, *options, display=('-display', 'none'), env=None):
        self.font = Font()
        self.tmp = tempfile.TemporaryDirectory()
        self.folder = folder or self.tmp.name
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.tmp.name, 'monitor')
        self.process = subprocess.Popen([paisano, *display, '-monitor', f'unix:{path},server,nowait', *options],
                                        stdin=subprocess.DEVNULL, env=env)
        end = time.monotonic() + LIMIT
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    fail('no monitor')
                time.sleep(0.05)
        self.socket.settimeout(LIMIT)
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.tmp.cleanup()

    def answer(self):
        got = b''
        while not got.endswith(PROMPT):
            more = self.socket.recv(65536)
            if not more:
                fail('the monitor hung up')
            got += more
        return got.decode()

    def ask(self, command):
        self.socket.sendall(command.encode() + b'\n')
        text = self.answer()
        return text[text.index('\n') + 1:-len(PROMPT)]

    def quit(self):
        self.socket.sendall(b'quit\n')
        code = self.process.wait(LIMIT)
        if code:
            fail(f'quit ended with {code}')

    def key(self, *keys):
        for key in keys:
            said = self.ask('sendkey ' + key)
            if said:
                fail(f'sendkey {key}: {said}')

    def type(self, text):
        self.key(*(KEYS.get(c) or (f'shift-{c.lower()}' if c.isupper() else c) for c in text))

    def picture(self, name='screen'):
        path = os.path.join(self.folder, name + '.png')
        said = self.ask('screendump ' + path)
        if said:
            fail('screendump: ' + said)
        return Picture(*read_png(path))

    def until(self, name, found, seconds=LIMIT):
        """Looks until found(picture) is neither None nor False: that, with the picture kept under its name."""
        end = time.monotonic() + seconds
        while True:
            result = found(self.picture(name))
            if result is not None and result is not False:
                return result
            if time.monotonic() > end or self.process.poll() is not None:
                fail(f'never seen: {name}; the last picture is in {self.folder}')
            time.sleep(0.3)

    def settled(self, name, found=lambda picture: True, seconds=LIMIT):
        """Looks until two pictures in a row are the same and the last passes found."""
        last = []

        def same(picture):
            calm = bool(last) and last[-1] == picture and found(picture)
            last[:] = [picture]
            return picture if calm else None
        return self.until(name, same, seconds)
