#!/usr/bin/env python3
"""Linux's own driver finds the absolute pointer: places, buttons, motion and the wheel arrive as events, as
the monitor sends them.
usage: pointer.py PAISANO KERNEL INITRD MODULES [OPTION...]"""
import os, re, struct, sys, tempfile
from machine import Machine
from peer import Peer, check, fail

SYN, KEY, REL, ABS = 0, 1, 2, 3
LEFT, RIGHT, MIDDLE = 0x110, 0x111, 0x112
X, Y, WHEEL = 0, 1, 8


class Guest:
    def __init__(self, console):
        self.console = console

    def run(self, command):
        """What the command writes. It ends with a mark that the command line, which is echoed, does not contain."""
        self.console.type(command + '; echo en""ded\n')
        text = self.console.expect(b'\nended')
        return text.replace('\r', '').split('echo en""ded\n', 1)[-1][:-len('ended')]

    def listen(self, event):
        self.run(f'(cat /dev/input/{event} > /tmp/{event} &); until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q input/{event}; do '
                 'sleep 1; done')

    def heard(self, event):
        """All events so far but SYN: (type, code, value)."""
        data = bytes.fromhex(self.run(f'od -An -v -tx1 /tmp/{event}').replace(' ', '').replace('\n', ''))
        return [e[2:] for e in struct.iter_unpack('<qqHHi', data) if e[2] != SYN]


def main():
    paisano, kernel, initrd, modules, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='paisano-pointer-') as tmp:
        both, serial = os.path.join(tmp, 'initrd.gz'), os.path.join(tmp, 'serial')
        with open(both, 'wb') as f:
            for part in (initrd, modules):
                f.write(open(part, 'rb').read())
        with Machine(paisano, None, '-m', '256M', '-kernel', kernel, '-initrd', both, '-append', 'console=ttyS0 quiet',
                     '-serial', f'unix:{serial},server,nowait', *options) as m:
            check('no driver' in m.ask('mouse_to 5 5'), 'no place before there is a driver')
            console = Peer(serial)
            console.expect(b'GUEST-READY')
            console.expect(b'# ')
            talk(m, Guest(console))
            m.quit()


def event_of(devices, name):
    found = re.search(rf'N: Name="{name}"\n(?:.*\n)*?H: Handlers=.*?(event\d+)', devices)
    if not found:
        fail(f'no {name} among\n{devices}')
    return found[1]


def talk(m, guest):
    guest.run('cd /modules; for m in $(cat order); do insmod $m 2>/dev/null; done; cd')
    for _ in range(60):
        devices = guest.run('sleep 1; cat /proc/bus/input/devices')
        if 'VMMouse' in devices:
            break
    absolute = event_of(devices, 'VirtualPS/2 VMware VMMouse')
    relative = event_of(devices.replace(absolute, ''), 'VirtualPS/2 VMware VMMouse')
    check(relative, 'the driver finds the pointer')
    guest.listen(absolute)
    guest.listen(relative)

    for x, y in ((0, 0), (32767, 0), (16384, 8192), (5, 32767)):
        if m.ask(f'mouse_to {x} {y}'):
            fail('mouse_to')
    for state in (1, 3, 0, 4, 0):
        m.ask(f'mouse_button {state}')
    m.ask('mouse_to 5 32767 1')
    m.ask('mouse_move 7 -3')
    for _ in range(60):
        got, moved = guest.heard(absolute), guest.heard(relative)
        if (REL, Y, -3) in moved:
            break
        guest.run('sleep 1')
    places = [e for e in got if e[0] == ABS]
    check([v for _, code, v in places if code == 0] == [65535, 32769, 10], 'places from left to right')
    check([v for _, code, v in places if code == 1] == [16384, 65535], 'places from top to bottom')
    check(moved == [(REL, WHEEL, 1), (REL, X, 7), (REL, Y, -3)], f'the wheel, and motion {moved}')
    keys = [e[1:] for e in got if e[0] == KEY]
    check(sorted(keys) == [(LEFT, 0), (LEFT, 1), (RIGHT, 0), (RIGHT, 1), (MIDDLE, 0), (MIDDLE, 1)], f'buttons {keys}')


main()
