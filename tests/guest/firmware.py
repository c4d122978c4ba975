#!/usr/bin/env python3
"""Power on into firmware: what SeaBIOS says on the debug port and on its serial console.
usage: firmware.py PAISANO"""
import os, shutil, subprocess, sys, tempfile
from peer import LIMIT, Peer, check, fail

def seabios(paisano, tmp):
    """Without a disk: through POST to the end of its list of boot devices, then the reset it is told to do."""
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


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def ovmf(paisano, tmp):
    """To the UEFI shell and off again, with variables in a file: what the firmware wrote there is found by the next start."""
    variables = os.path.join(tmp, 'vars')
    shutil.copy('/usr/share/OVMF/OVMF_VARS_4M.fd', variables)
    blank = read(variables)
    written = []
    for start in ('first', 'second'):
        path = os.path.join(tmp, start)
        p = subprocess.Popen([paisano, '-m', '128M', '-bios', 'uefi', '-pflash', variables, '-display', 'none', '-serial',
                              f'unix:{path},server,nowait'], stdin=subprocess.DEVNULL)
        try:
            console = Peer(path)
            console.expect(b'Shell>')
            console.type('reset -s\r')
            code = p.wait(LIMIT)
        finally:
            p.kill()
        check(code == 0, f'OVMF reaches its shell and powers off ({start} start): exit code {code}')
        written.append(read(variables))
    check(len(written[0]) == len(blank) and written[0] != blank, 'variables are kept')
    name = 'BootOrder'.encode('utf-16-le')
    check(name not in blank and name in written[0], 'one of them is BootOrder')
    check(written[0].count(name) == written[1].count(name), 'the second start finds it')


def main():
    paisano, = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    seabios(paisano, tmp)
    ovmf(paisano, tmp)


main()
