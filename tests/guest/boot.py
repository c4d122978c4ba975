#!/usr/bin/env python3
"""From power-on to a shell, as on a real PC: firmware, GRUB, Linux, all from one image that is a CD and a disk at once.
usage: boot.py PAISANO KERNEL INITRD"""
import hashlib, os, shutil, subprocess, sys, tempfile

from guest import LIMIT, Console, check

GRUB = '''serial --unit=0
terminal_output serial
set timeout=0
menuentry linux {
	linux /boot/vmlinuz console=ttyS0 quiet
	initrd /boot/initrd.gz
}
'''


def md5(path):
    with open(path, 'rb') as f:
        return hashlib.md5(f.read()).hexdigest()


def main():
    paisano, kernel, initrd = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='paisano-boot-') as tmp:
        image, folder = os.path.join(tmp, 'image'), os.path.join(tmp, 'root')
        os.makedirs(os.path.join(folder, 'boot/grub'))
        shutil.copy(kernel, os.path.join(folder, 'boot/vmlinuz'))
        shutil.copy(initrd, os.path.join(folder, 'boot/initrd.gz'))
        with open(os.path.join(folder, 'boot/grub/grub.cfg'), 'w') as f:
            f.write(GRUB)
        subprocess.run(['grub-mkrescue', '-o', image, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = md5(image)
        for name, options in (
                ('from the image that is given alone', [image]),
                ('from a CD', ['-cdrom', image]),
                ('from a disk that keeps nothing', ['-snapshot', '-hda', image]),
                ('from a second disk', ['-drive', f'file={image},format=raw,index=3,snapshot=on']),
                ('from a CD, under UEFI', ['-bios', 'OVMF.fd', '-cdrom', image])):
            console = Console([paisano, '-m', '512M', '-nographic', *options])
            console.expect('GUEST-READY')
            console.type('poweroff')
            check(console.process.wait(LIMIT) == 0, name)
        check(md5(image) == before, 'the image is as it was')


main()
