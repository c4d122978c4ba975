#!/usr/bin/env python3
"""The screen as people look at it: an SDL window, and a VNC viewer's window, on an X server of the test's own. GRUB's rescue CD
runs; the window has to show every dot of what screendump says, and keys pressed in it have to arrive.
usage: window.py PAISANO ISO FOLDER-FOR-PICTURES sdl|vnc"""
import atexit, os, socket, struct, subprocess, sys, tempfile, time
from machine import LIMIT, Machine, write_png
from peer import check, fail

WIDTH, HEIGHT = 1024, 768


def free_display():
    """A VNC display number on whose port nobody listens."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1] - 5900


class Screen:
    """An X server without a monitor; its frame buffer is a file."""

    def __init__(self, tmp):
        read, write = os.pipe()
        self.server = subprocess.Popen(['Xvfb', '-displayfd', str(write), '-screen', '0', f'{WIDTH}x{HEIGHT}x24', '-fbdir', tmp,
                                        '-nolisten', 'tcp'], pass_fds=[write], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.stop)
        os.close(write)
        with os.fdopen(read) as f:
            self.display = ':' + f.readline().strip()
        if self.display == ':':
            fail('Xvfb does not start')
        self.file = os.path.join(tmp, 'Xvfb_screen0')
        self.environment = {**os.environ, 'DISPLAY': self.display, 'SDL_AUDIODRIVER': 'dummy', 'SDL_VIDEODRIVER': 'x11'}
        self.environment.pop('WAYLAND_DISPLAY', None)
        # the drivers and the message bus of a real window leave memory behind, some of them unloaded by then: nothing can name
        # them to a leak checker; what is ours is checked by frontend.sdl
        self.environment['ASAN_OPTIONS'] = ':'.join(filter(None, [os.environ.get('ASAN_OPTIONS'), 'detect_leaks=0']))

    def stop(self):
        self.server.terminate()
        self.server.wait()

    def picture(self):
        """Rows of RGB bytes. The file is a window dump of X, version 7."""
        with open(self.file, 'rb') as f:
            data = f.read()
        head = struct.unpack('>25I', data[:100])
        width, height, bits, stride, colours = head[4], head[5], head[11], head[12], head[19]
        if (width, height, bits) != (WIDTH, HEIGHT, 32):
            fail(f'the X server has a screen of {width}x{height}, {bits} bits')
        at, rows = head[0] + colours * 12, []
        for y in range(height):
            line = data[at + y * stride:at + y * stride + width * 4]
            row = bytearray(width * 3)
            row[0::3], row[1::3], row[2::3] = line[2::4], line[1::4], line[0::4]
            rows.append(bytes(row))
        return rows

    def do(self, *words):
        subprocess.run(['xdotool', *words], env=self.environment, check=True, stdout=subprocess.DEVNULL)


def place(rows, picture):
    """Where on the screen the whole picture is, dot by dot; None."""
    lively = max(range(picture.height), key=lambda y: len(set(picture.row(y)[i:i + 24] for i in range(0, picture.width * 3, 24))))
    for y in range(len(rows) - picture.height + 1):
        x = rows[y + lively].find(picture.row(lively))
        while x >= 0 and x % 3:
            x = rows[y + lively].find(picture.row(lively), x + 1)
        if x >= 0 and all(rows[y + i][x:x + picture.width * 3] == picture.row(i) for i in range(picture.height)):
            return x // 3, y
    return None


def bar(picture):
    """Where the bar over GRUB's chosen line begins."""
    band = picture.size == (720, 400) and picture.band(lambda r, g, b: r == g == b == 0xaa, 0.5)
    return band and band[0]


def shown(screen, m, name):
    """Wait until the window shows what the machine shows. (The cursor blinks between two looks.)"""
    end = time.monotonic() + LIMIT
    while True:
        picture = m.picture(name)
        rows = screen.picture()
        at = place(rows, picture)
        if at:
            write_png(os.path.join(m.folder, name + '-window.png'), WIDTH, HEIGHT, rows)
            return at, picture
        if time.monotonic() > end:
            write_png(os.path.join(m.folder, name + '-window.png'), WIDTH, HEIGHT, rows)
            fail(f'{name}: the window does not show the picture; see {m.folder}')
        time.sleep(0.2)


def main():
    paisano, iso, folder, way = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        screen = Screen(tmp)
        number = free_display()
        display = ('-display', 'sdl') if way == 'sdl' else ('-display', f'vnc=:{number}')
        with Machine(paisano, folder, '-m', '64M', iso, display=display, env=screen.environment) as m:
            m.until(f'{way}-menu', bar)
            if way == 'vnc':
                viewer = subprocess.Popen(['xtigervncviewer', '-SecurityTypes', 'None', '-RemoteResize=0', '-CompressLevel=0',
                                           '-PreferredEncoding=Raw', '-AutoSelect=0', f'127.0.0.1::{number + 5900}'],
                                          env=screen.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                atexit.register(viewer.kill)
            at, picture = shown(screen, m, f'{way}-menu')
            check(True, f'the window shows every dot, at {at}')
            if way == 'vnc':  # there is no window manager to give it the keyboard
                screen.do('search', '--sync', '--onlyvisible', '--name', 'TigerVNC', 'windowfocus')
            screen.do('mousemove', str(at[0] + 100), str(at[1] + 100), 'click', '1')
            before = bar(picture)
            screen.do('key', 'Down')
            m.until(f'{way}-down', lambda p: bar(p) == before + 16)
            shown(screen, m, f'{way}-down')
            check(True, 'a key arrives, and the window follows')
            screen.do('key', 'c')
            m.until(f'{way}-prompt', lambda p: not bar(p))
            screen.do('type', '--delay', '60', 'echo Hello-World=1')
            time.sleep(0.5)
            _, picture = shown(screen, m, f'{way}-typed')
            check('echo Hello-World=1' in picture.words(m.font), 'typed words arrive, with shift')
            m.quit()


main()
