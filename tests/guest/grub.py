#!/usr/bin/env python3
"""Linux from a CD, as a PC starts it: SeaBIOS or UEFI, GRUB, Debian's kernel to a shell; suspend to RAM and back; power off.
usage: grub.py PAISANO KERNEL INITRD bios|uefi"""
import os, shutil, subprocess, sys, tempfile
from peer import LIMIT, Peer, check, fail

CONFIG = '''
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
menuentry linux {
	linux /boot/vmlinuz console=ttyS0
	initrd /boot/initrd.gz
}
'''


def make_cd(tmp, kernel, initrd):
    grub = os.path.join(tmp, 'cd', 'boot', 'grub')
    os.makedirs(grub)
    shutil.copy(kernel, os.path.join(tmp, 'cd', 'boot', 'vmlinuz'))
    shutil.copy(initrd, os.path.join(tmp, 'cd', 'boot', 'initrd.gz'))
    with open(os.path.join(grub, 'grub.cfg'), 'w') as f:
        f.write(CONFIG)
    image = os.path.join(tmp, 'cd.iso')
    p = subprocess.run(['grub-mkrescue', '-o', image, os.path.join(tmp, 'cd')], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        fail(f'grub-mkrescue: {p.stdout.decode(errors="replace")[-1000:]}')
    return image


def main():
    paisano, kernel, initrd, firmware = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    try:
        run(paisano, make_cd(tmp, kernel, initrd), firmware, tmp)
    finally:
        shutil.rmtree(tmp)


def run(paisano, image, firmware, tmp):
    serial, monitor = os.path.join(tmp, 'serial'), os.path.join(tmp, 'monitor')
    p = subprocess.Popen([paisano, '-m', '384M', '-cdrom', image, '-display', 'none', '-serial', f'unix:{serial},server,nowait',
                          '-monitor', f'unix:{monitor},server,nowait'] + (['-bios', 'uefi'] if firmware == 'uefi' else []),
                         stdin=subprocess.DEVNULL)
    try:
        console, human = Peer(serial), Peer(monitor)
        boot = console.expect(b'GUEST-READY')
        console.expect(b'# ')
        check(True, f'{firmware}, GRUB and Linux to a shell')
        signs = ('ACPI Error', 'ACPI BIOS', 'WARNING:', 'BUG:', 'Oops')
        bad = [line for line in boot.splitlines() if any(w in line for w in signs)]
        check(not bad, f'no complaints in the boot messages {bad[:3]}')
        console.type('ls /sys/firmware; cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/bios_vendor; echo sh""own\n')
        shown = console.expect(b'shown')
        check('Paisano' in shown, 'SMBIOS tells the vendor')
        check(('efi' in shown.split('echo')[-1]) == (firmware == 'uefi'), f'the kernel knows its firmware: {firmware}')

        console.type('echo mem > /sys/power/state; echo wo""ken $?\n')
        console.expect(b'Suspending console')
        while True:  # until it sleeps
            human.send('system_wakeup\n')
            human.expect(b'system_wakeup')
            if 'not suspended' not in human.expect(b'(paisano) '):
                break
        check('woken 0' in console.expect(b'woken 0'), 'suspend to RAM and back')
        console.type('poweroff\n')
        code = p.wait(LIMIT)
        check(code == 0, f'poweroff ends with exit code {code}')
    finally:
        p.kill()


main()
