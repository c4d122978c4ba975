#!/usr/bin/env python3
"""SeaBIOS's screen and its boot menu: what it says, the devices it lists, and that each one that is chosen by its number starts.
usage: bootmenu.py PAISANO FLOPPY ISO FOLDER-FOR-PICTURES"""
import re, sys
from machine import Machine
from peer import fail


def choose(paisano, folder, name, device, drive, seen, *options):
    """The menu; then the device whose line has that word. seen: what it says when it is up, drive: who was read for it."""
    with Machine(paisano, folder, '-m', '64M', '-boot', 'menu=on,splash-time=20000', *options) as m:
        def words(wanted):
            def look(picture):
                text = picture.words(m.font)
                return text if all(w in text for w in wanted) else None
            return look
        m.until(f'{name}-start', words(['SeaBIOS (version', 'Press ESC for boot menu']))
        m.key('esc')
        text = m.until(f'{name}-menu', words(['Select boot device', '1. ', '2. ']))
        lines = dict(re.findall(r'^(\d)\. (.*)$', text, re.M))
        print('ok: the menu:', lines)
        number = [n for n, line in lines.items() if device in line]
        if len(number) != 1:
            fail(f'{device} is listed {len(number)} times')
        m.key(number[0])
        m.until(f'{name}-up', words(seen))
        reads = dict(re.findall(r'^(\w\S*): .*\n.*\n +(\d+) reads', m.ask('info block'), re.M))
        if max(reads, key=lambda d: int(reads[d])) != drive:
            fail(f'{number[0]} does not read {drive} most: {reads}')
        print(f'ok: {number[0]} starts the {name}')
        m.quit()


def main():
    paisano, floppy, iso, folder = sys.argv[1:]
    disks = '-fda', floppy, '-cdrom', iso
    choose(paisano, folder, 'floppy', 'Floppy', 'floppy0', ['GNU GRUB', 'highlighted'], *disks)
    choose(paisano, folder, 'CD', 'DVD/CD', 'ide1-cd0', ['GNU GRUB', 'highlighted'], *disks)


main()
