#!/usr/bin/env python3
"""Multiboot kernels under -kernel: one of our own that talks and leaves, and GRUB's game, watched in its text screen.
usage: multiboot.py PAISANO HELLO.elf INVADERS"""
import os, re, subprocess, sys, tempfile, time

from peer import LIMIT, Peer


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def hello(paisano, elf, tmp):
    module = os.path.join(tmp, 'module')
    with open(module, 'w') as f:
        f.write('the module speaks\n')
    p = subprocess.run([paisano, '-m', '16M', '-nographic', '-device', 'isa-debug-exit', '-kernel', elf, '-append', 'one two',
                        '-initrd', f'{module} some words'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       timeout=LIMIT)
    text = p.stdout.decode()
    said = all(words in text for words in ('hello from multiboot: ', 'one two', 'the module speaks'))
    if p.returncode != 33 << 1 | 1 or not said:
        fail(f'multiboot kernel: exit {p.returncode}, said {text!r}')
    print('ok: a multiboot kernel gets its command line and module, talks on the UART, leaves through isa-debug-exit')


def answer(connection):
    text = b''
    while not text.endswith(b'(paisano) '):
        got = connection.recv(65536)
        if not got:
            fail('the monitor hung up')
        text += got
    return text.decode()


def ask(connection, command):
    connection.sendall(command.encode() + b'\n')
    return answer(connection)


def screen(connection):
    text = ask(connection, 'xp /2000hx 0xb8000')
    words = re.findall(r'0x([0-9a-f]{4})\b', text)
    return ''.join(chr(int(w, 16) & 0x7f) if int(w, 16) & 0x60 else ' ' for w in words)


def picture(connection):
    """What the adapter shows: size and pixels of a PPM."""
    path = os.path.join(tempfile.mkdtemp(), 'screen.ppm')
    ask(connection, 'screendump ' + path)
    with open(path, 'rb') as f:
        data = f.read()
    kind, width, height, _ = re.match(rb'(P6)\s+(\d+)\s+(\d+)\s+(\d+)\s', data).groups()
    pixels = data[-int(width) * int(height) * 3:]
    return (int(width), int(height)), pixels


def letters(connection):
    """The screen as invaders draws it with an adapter; empty while there is nothing to see."""
    size, pixels = picture(connection)
    if size != (720, 400):
        fail(f'the picture is {size}: not the text mode in which a kernel is started')
    return pixels.strip(b'\0')


def invaders(paisano, kernel, tmp, vga, look):
    path = os.path.join(tmp, 'monitor.' + vga)
    p = subprocess.Popen([paisano, '-m', '32M', '-vga', vga, '-display', 'none', '-kernel', kernel,
                          '-monitor', f'unix:{path},server,nowait'], stdin=subprocess.DEVNULL)
    try:
        connection = Peer(path).socket
        answer(connection)
        seen, end = set(), time.monotonic() + LIMIT
        while len(drawn := [s for s in seen if s.strip()]) < 2:
            if time.monotonic() > end:
                fail(f'the game does not move: {len(drawn)} different screens; registers:\n' + ask(connection, 'info registers'))
            time.sleep(0.5)
            seen.add(look(connection))
        print(f'ok: -vga {vga}: the game draws ({len(drawn)} different screens)')
        connection.sendall(b'quit\n')
        if p.wait(LIMIT):
            fail('quit in the monitor did not end with 0')
    finally:
        p.kill()


def main():
    paisano, elf, kernel = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    hello(paisano, elf, tmp)
    invaders(paisano, kernel, tmp, 'none', screen)
    invaders(paisano, kernel, tmp, 'std', letters)


main()
