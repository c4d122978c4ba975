#!/usr/bin/env python3
"""What a user sees and types: GRUB's rescue CD through SeaBIOS, driven through the monitor by sendkey, looked at by screendump.
usage: screen.py PAISANO ISO FOLDER-FOR-PICTURES"""
import sys
from machine import Machine
from peer import fail

GREY = (0xaa, 0xaa, 0xaa)


def bar(picture):
    """The text row that GRUB's menu shows inverted, in an 80x25 text screen."""
    if picture.size != (720, 400):
        return None
    band = picture.band(lambda *colour: colour == GREY, 0.5)
    return band and band[0] // 16


def main():
    paisano, iso, folder = sys.argv[1:]
    with Machine(paisano, folder, '-m', '64M', iso) as m:
        first = m.until('menu', bar)
        print(f'ok: the menu is there, row {first} is chosen')
        for step, key in ((1, 'down'), (2, 'down'), (1, 'up')):
            m.key(key)
            m.until('moved', lambda p: bar(p) == first + step)
        print('ok: keys move the bar')
        m.key('c')
        m.until('prompt', lambda p: p.width == 720 and bar(p) is None)
        before = m.picture('prompt')
        m.type('Hello')
        m.until('typed', lambda p: sum(p.row(y) != before.row(y) for y in range(400)) >= 8)
        print('ok: the prompt echoes')
        if 'grub' not in m.ask('info block') or 'VGA' not in m.ask('info pci'):
            fail('info block or info pci')
        m.ask('eject ide1-cd0')
        if 'not inserted' not in m.ask('info block'):
            fail('eject')
        if m.ask('change ide1-cd0 ' + iso) or 'not inserted' in m.ask('info block'):
            fail('change')
        print('ok: eject and change')
        m.quit()


main()
