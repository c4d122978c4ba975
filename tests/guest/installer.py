#!/usr/bin/env python3
"""The Debian installer through its first questions (language, country, keyboard), driven by keys and looked at.
usage: installer.py PAISANO FOLDER-FOR-PICTURES text|vga|graphical|cd|cd-uefi
text: as users meet it, in a linear frame buffer; vga: in the VGA's own text mode; graphical: X and GTK;
cd, cd-uefi: from a CD with GRUB, where a key chooses between the two, under SeaBIOS and UEFI."""
import os, shutil, subprocess, sys, tempfile
from machine import Font, Machine
from peer import check, fail

IMAGES = '/usr/lib/debian-installer/images/12/amd64/{0}/debian-installer/amd64/{1}'
SLOW = 240  # seconds
GRUB = '''
set timeout=-1
insmod all_video
insmod font
set gfxmode=800x600
set gfxpayload=keep
menuentry "Text installer" {
	linux /text/linux
	initrd /text/initrd.gz
}
menuentry "Graphical installer" {
	linux /gtk/linux
	initrd /gtk/initrd.gz
}
'''


def make_cd(tmp):
    folder, image = os.path.join(tmp, 'cd'), os.path.join(tmp, 'cd.iso')
    os.makedirs(os.path.join(folder, 'boot', 'grub'))
    with open(os.path.join(folder, 'boot', 'grub', 'grub.cfg'), 'w') as f:
        f.write(GRUB)
    for kind in ('text', 'gtk'):
        os.mkdir(os.path.join(folder, kind))
        for name in ('linux', 'initrd.gz'):
            shutil.copy(IMAGES.format(kind, name), os.path.join(folder, kind, name))
    p = subprocess.run(['grub-mkrescue', '-o', image, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        fail(f'grub-mkrescue: {p.stdout.decode(errors="replace")[-1000:]}')
    return image


def direct(kind, words):
    return ['-kernel', IMAGES.format(kind, 'linux'), '-initrd', IMAGES.format(kind, 'initrd.gz'), '-append', words]


def grub_bar(picture):
    """Where the bar is over GRUB's chosen line, whatever its letters."""
    return picture.band(lambda r, g, b: r == g == b and r > 0x90, 0.25)


def is_red(r, g, b):
    return r > 0x90 and g < 0x20 and b < 0x20


def is_teal(r, g, b):
    return r < 0x40 and 0x70 < g < 0xa0 and 0x68 < b < 0x98


class Text:
    """Screens of newt: read by letters; the chosen line is red."""

    def __init__(self, machine, name):
        self.m, self.name, self.font = machine, name, Font()

    def chosen(self, picture):
        """The line in which several cells are red; in the title only the letters are."""
        cell = 9 if picture.size == (720, 400) else 8
        for line, words in enumerate(picture.words(self.font).split('\n')):
            row = picture.row(line * 16)
            if sum(is_red(*row[x:x + 3]) for x in range(0, len(row) - 2, cell * 3)) > 3:
                return words
        return None

    def screen(self, step, title, line):
        """Wait for a title and for the line that has to be the chosen one."""
        self.m.settled(f'{self.name}-{step}', lambda p: title in p.words(self.font) and line in (self.chosen(p) or ''), SLOW)
        print(f'ok: {title!r}, {line!r} is chosen')

    def run(self):
        self.screen('language', 'Select a language', 'English')
        self.m.key('down')
        # the VGA's text mode has not the letters for every language
        self.screen('language-down', 'Select a language', 'Finnish' if self.name == 'vga' else 'Esperanto')
        self.m.key('up', 'ret')
        self.screen('country', 'Select your location', 'United States')
        self.m.key('down')
        self.screen('country-down', 'Select your location', 'Zambia')
        self.m.key('up', 'up')
        self.screen('country-up', 'Select your location', 'United Kingdom')
        self.m.key('down', 'ret')
        self.screen('keyboard', 'Configure the keyboard', 'American English')
        self.m.key('down')
        self.screen('keyboard-down', 'Configure the keyboard', 'Albanian')
        self.m.key('up', 'ret')
        self.m.until(f'{self.name}-on', lambda p: 'Configure the keyboard' not in p.words(self.font), SLOW)
        print('ok: and on it goes')


class Graphical:
    """Screens of GTK: a bar is over the chosen line."""

    def __init__(self, machine, name):
        self.m, self.name = machine, name

    def bar(self, picture):
        return picture.band(is_teal, 0.5, top=picture.height // 7)

    def screen(self, step, passes):
        def found(picture):
            bar = self.bar(picture)
            return bar is not None and 10 < bar[1] < 60 and passes(bar[0], picture)
        picture = self.m.settled(f'{self.name}-{step}', found, SLOW)
        print(f'ok: {step}: the bar is at {self.bar(picture)}')
        return self.bar(picture)[0], picture

    def steer(self, key, step, passes):
        """Press a key until it has done what it should: the window is drawn before it takes keys."""
        looks = 0

        def moved(y, picture):
            nonlocal looks
            if passes(y, picture):
                return True
            if looks % 10 == 0:
                self.m.key(key)
            looks += 1
            return False
        self.screen(step, moved)

    def run(self):
        at, language = self.screen('language', lambda y, p: True)
        self.steer('down', 'language-down', lambda y, p: y > at)
        self.steer('up', 'language-back', lambda y, p: y == at)
        self.m.key('ret')
        at, country = self.screen('country', lambda y, p: differ(p, language) > 0.02)
        self.m.key('up')
        self.screen('country-up', lambda y, p: y < at)
        self.m.key('down', 'ret')
        at, keyboard = self.screen('keyboard', lambda y, p: differ(p, country) > 0.02 and differ(p, language) > 0.02)
        self.m.key('down')
        self.screen('keyboard-down', lambda y, p: y > at)


def differ(a, b):
    """Share of the lines that are not the same, each counted by how much of it is not."""
    if a.size != b.size:
        return 1
    changed = 0
    for y in range(0, a.height, 2):
        r, s = a.row(y), b.row(y)
        if r != s:
            changed += sum(r[x:x + 3] != s[x:x + 3] for x in range(0, len(r), 12))
    return changed * 8 / (a.width * a.height)


def main():
    paisano, folder, way = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        if way.startswith('cd'):
            options = ['-cdrom', make_cd(tmp)] + (['-bios', 'uefi'] if way == 'cd-uefi' else [])
        else:
            options = direct('gtk' if way == 'graphical' else 'text', 'nomodeset fb=false' if way == 'vga' else '')
        with Machine(paisano, folder, '-m', '1G', *options) as m:
            graphical = way in ('graphical', 'cd-uefi')
            if way.startswith('cd'):
                at = m.settled(f'{way}-menu', grub_bar, SLOW)
                if graphical:
                    m.key('down')
                    m.settled(f'{way}-menu-down', lambda p: (bar := grub_bar(p)) and bar > grub_bar(at), SLOW)
                print("ok: GRUB's menu")
                m.key('ret')
            (Graphical if graphical else Text)(m, way).run()
            m.quit()


main()
