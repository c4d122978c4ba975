#!/usr/bin/env python3
"""Kernels of the command line that firmware starts: Debian's through SeaBIOS, UEFI and qboot, again after a reset; one that tells
what the boot protocol of Linux gave it, in all its ages; multiboot; a network boot loader and a disk emulator, which know no other
way.
usage: kernel.py PAISANO KERNEL INITRD SETUP.bin HELLO.elf FOLDER-FOR-PICTURES"""
import os, shutil, struct, subprocess, sys, tempfile
from machine import Machine
from peer import LIMIT, Peer, check

QBOOT = '/usr/share/qemu/qboot.rom'
IPXE, MEMDISK, FLOPPY = '/usr/lib/ipxe/ipxe.lkrn', '/usr/lib/syslinux/memdisk', '/usr/lib/grub-rescue/grub-rescue-floppy.img'


def linux(paisano, kernel, initrd, bios, sign, tmp):
    serial, monitor = (os.path.join(tmp, f'{os.path.basename(bios)}.{end}') for end in ('serial', 'monitor'))
    p = subprocess.Popen([paisano, '-m', '384M', '-bios', bios, '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0',
                          '-display', 'none', '-serial', f'unix:{serial},server,nowait', '-monitor',
                          f'unix:{monitor},server,nowait'], stdin=subprocess.DEVNULL)
    try:
        console, human = Peer(serial), Peer(monitor)
        for start in ('first', 'after a reset'):
            boot = console.expect(b'GUEST-READY')
            console.expect(b'# ')
            check(sign in boot, f'{bios}: Linux to a shell, {start}; its firmware shows: {sign}')
            if start == 'first':
                human.send('system_reset\n')
        console.type('poweroff\n')
        code = p.wait(LIMIT)
        check(code == 0, f'poweroff ends with exit code {code}')
    finally:
        p.kill()


def run(paisano, tmp, *options):
    """The exit code, what it said on the serial port, and what the emulator says."""
    serial = os.path.join(tmp, 'out')
    p = subprocess.run([paisano, '-m', '64M', '-display', 'none', '-device', 'isa-debug-exit', '-serial', f'file:{serial}',
                        *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT)
    with open(serial, errors='replace') as f:
        return p.returncode, f.read(), p.stderr.decode()


def setup(paisano, program, tmp):
    with open(program, 'rb') as f:
        image = bytearray(f.read())
    ramdisk, kernel = os.path.join(tmp, 'ramdisk'), os.path.join(tmp, 'kernel')
    with open(ramdisk, 'wb') as f:
        f.write(b'initial ramdisk\0')
    for version, flags, vga, mode, place in ((0x201, 0, '', 'ffff', '9000'), (0x202, 0, 'vga=ask', 'fffd', '9000'),
                                             (0x201, 1, 'vga=ext', 'fffe', '9000'), (0x203, 1, 'vga=0x317', '0317', '1000')):
        image[0x206:0x208] = struct.pack('<H', version)
        image[0x211] = flags
        with open(kernel, 'wb') as f:
            f.write(image)
        line = f'one two {vga}'
        code, said, _ = run(paisano, tmp, '-kernel', kernel, '-initrd', ramdisk, '-append', line)
        wanted = f"setup at {place}, command line '{line}', mode {mode}, kernel 'the kernel part', initrd 'initial ramdisk'\n"
        check(code == 33 << 1 | 1 and said == wanted,
              f'protocol {version >> 8}.{version & 255:02}, {"b" if flags else ""}zImage: exit code {code}, {said!r}')
    with open(kernel, 'wb') as f:
        f.write(image[:0x600])
    code, _, line = run(paisano, tmp, '-kernel', kernel)
    check(code == 4 and 'truncated' in line, f'cut off: {code}, {line.strip()}')


def multiboot(paisano, elf, tmp):
    module = os.path.join(tmp, 'module')
    with open(module, 'w') as f:
        f.write('the module speaks\n')
    code, said, _ = run(paisano, tmp, '-bios', 'bios-256k.bin', '-kernel', elf, '-append', 'one two', '-initrd', f'{module} words')
    check(code == 33 << 1 | 1 and all(w in said for w in ('hello from multiboot: ', 'one two', 'the module speaks')),
          f'multiboot: exit code {code}, {said!r}')
    code, _, line = run(paisano, tmp, '-bios', 'uefi', '-kernel', elf)
    check(code == 2 and 'UEFI' in line, f'not with UEFI: {code}, {line.strip()}')


def too_small(paisano, kernel, initrd, tmp):
    """In 64 MiB Debian's kernel has no room to unpack itself: it would hang without a word."""
    for bios, words in ((), 'MiB of memory (see -m)'), (('-bios', 'bios-256k.bin'), 'does not fit behind the kernel (see -m)'):
        code, _, line = run(paisano, tmp, '-kernel', kernel, '-initrd', initrd, *bios)
        check(code == 4 and words in line, f'too little memory: {code}, {line.strip()}')


def on_screen(paisano, folder, name, wanted, *options):
    with Machine(paisano, folder, '-m', '64M', *options) as m:
        m.until(name, lambda picture: all(word in picture.words(m.font) for word in wanted))
        print(f'ok: {name} shows', wanted)
        m.quit()


def main():
    paisano, kernel, initrd, setup_program, hello, folder = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    try:
        linux(paisano, kernel, initrd, 'bios-256k.bin', 'mem 0x00000000fffc0000-0x00000000ffffffff] reserved', tmp)
        linux(paisano, kernel, initrd, 'uefi', 'efi: EFI v2', tmp)
        linux(paisano, kernel, initrd, QBOOT, 'SMBIOS', tmp)
        too_small(paisano, kernel, initrd, tmp)
        setup(paisano, setup_program, tmp)
        multiboot(paisano, hello, tmp)
        on_screen(paisano, folder, 'ipxe', ['Booting from ROM', 'Open Source Network Boot Firmware'], IPXE)
        on_screen(paisano, folder, 'memdisk', ['GNU GRUB', 'highlighted'], '-kernel', MEMDISK, '-initrd', FLOPPY, '-append',
                  'floppy')
    finally:
        shutil.rmtree(tmp)


main()
