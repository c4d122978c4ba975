#!/usr/bin/env python3
"""Power on into firmware: what SeaBIOS says on the debug port and on its serial console.
usage: firmware.py PAISANO"""
import os, subprocess, sys, tempfile

LIMIT = 120  # seconds before a step counts as failed


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


def main():
    paisano, = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    command = [paisano, '-m', '64M', '-bios', 'bios-256k.bin', '-no-reboot', '-nographic', '-device', 'isa-debugcon,iobase=0x402',
               '-serial', f'file:{tmp}/serial', '-fw_cfg', f'etc/boot-fail-wait,file={tmp}/wait']
    with open(os.path.join(tmp, 'wait'), 'wb') as f:
        f.write((1).to_bytes(4, 'little'))
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT)
    debug = p.stdout.decode(errors='replace')
    with open(os.path.join(tmp, 'serial'), errors='replace') as f:
        serial = f.read()
    check(p.returncode == 0, f'SeaBIOS gives up after its list of devices and resets: exit code {p.returncode}')
    for words in ('fw_cfg DMA interface supported', 'len 0x0000000004000000 [RAM]', 'PS2 keyboard initialized', 'id=8086:7113',
                  'All threads complete', 'No bootable device'):
        check(words in debug, f'debug port: {words}')
    for words in ('SeaBIOS (version', 'Booting from Floppy', 'Booting from Hard Disk', 'No bootable device'):
        check(words in serial, f'serial console: {words}')


main()
