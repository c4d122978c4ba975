#!/usr/bin/env python3
"""Memtest86+ from its CD (SeaBIOS, UEFI), from a floppy disk and as a kernel: its early tests pass over the whole memory, read from
the screen; its menu opens and closes by keys.
usage: memtest.py PAISANO FOLDER-FOR-PICTURES bios|uefi|floppy|kernel"""
import os, re, sys, tempfile
from machine import Font, Machine
from peer import check, fail

ISO, PROGRAM = '/usr/lib/memtest86+/memtest86+x64.iso', '/boot/memtest86+x64.bin'
MEMORY = {'bios': 64, 'uefi': 128, 'floppy': 32, 'kernel': 32}
TESTS = 4  # different ones that have to be seen


def start(paisano, folder, way, tmp):
    options = ['-m', f'{MEMORY[way]}M']
    if way == 'floppy':  # its file begins with a boot sector
        image = os.path.join(tmp, 'floppy.img')
        with open(PROGRAM, 'rb') as program, open(image, 'wb') as f:
            f.write(program.read().ljust(1440 << 10, b'\0'))
        options += ['-fda', image, '-boot', 'a']
    elif way == 'kernel':
        options += ['-kernel', PROGRAM]
    else:
        options += ['-cdrom', ISO] + (['-bios', 'uefi'] if way == 'uefi' else [])
    return Machine(paisano, folder, *options)


def main():
    paisano, folder, way = sys.argv[1:]
    font = Font()

    def words(picture):
        # UEFI: 80 columns and 25 rows in the middle of a bigger picture
        left, top = ((picture.width - 640) // 2, (picture.height - 400) // 2) if picture.size != (720, 400) else (0, 0)
        return picture.words(font, left=left, top=top)

    with tempfile.TemporaryDirectory() as tmp, start(paisano, folder, way, tmp) as m:
        first = m.until(way + '-first', lambda p: (t := words(p)) and 'Testing:' in t and 'Errors: 0' in t and t)
        found = re.search(r'Memory *: *([0-9.]+)MB', first)
        check(found and 0.9 * MEMORY[way] <= float(found[1]) <= MEMORY[way], f'it finds {found and found[1]} MB of {MEMORY[way]}')
        check('Paisano virtual CPU' in first, 'and the CPU')
        seen = []

        def progress(picture):
            text = words(picture)
            number, errors = re.search(r'Test #(\d+)', text), re.search(r'Errors: (\d+)', text)
            if errors and errors[1] != '0':
                fail(f'memtest86+ has found errors:\n{text}')
            if number and errors and number[1] not in seen:
                seen.append(number[1])
            return len(seen) >= TESTS
        m.until(way + '-progress', progress, 240)
        check([int(n) for n in seen] == sorted(int(n) for n in seen), f'tests {", ".join(seen)} ran without an error')
        m.key('f1')
        m.until(way + '-menu', lambda p: 'Settings' in words(p))
        m.key('f10')
        m.until(way + '-back', lambda p: 'Settings' not in words(p) and 'Errors: 0' in words(p))
        print('ok: keys open and close its menu')
        m.quit()


main()
