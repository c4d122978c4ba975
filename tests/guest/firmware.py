#!/usr/bin/env python3
"""Power on into firmware: what SeaBIOS says on the debug port and on its serial console.
usage: firmware.py PAISANO"""
import os, shutil, subprocess, sys, tempfile, time

LIMIT = 120  # seconds before a step counts as failed


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


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
    """To the UEFI shell, with variables in a file: what the firmware wrote there is found by the next start."""
    variables, serial = os.path.join(tmp, 'vars'), os.path.join(tmp, 'uefi')
    shutil.copy('/usr/share/OVMF/OVMF_VARS_4M.fd', variables)
    blank = read(variables)
    written = []
    for start in range(2):
        p = subprocess.Popen([paisano, '-m', '128M', '-bios', 'uefi', '-pflash', variables, '-display', 'none', '-serial',
                              f'file:{serial}', '-monitor', 'stdio'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        while b'Shell>' not in (read(serial) if os.path.exists(serial) else b''):
            if p.poll() is not None or time.monotonic() > end:
                p.kill()
                fail(f'OVMF did not reach its shell: {read(serial)[-500:]}')
            time.sleep(0.1)
        p.communicate(b'quit\n', 20)
        os.remove(serial)
        written.append(read(variables))
    check(len(written[0]) == len(blank) and written[0] != blank, 'OVMF reaches its shell and keeps its variables')
    check(b'B\0o\0o\0t\0O\0r\0d\0e\0r\0' in written[0], 'one of them is BootOrder')
    check(written[0].count(b'B\0o\0o\0t\x000\x000\x000\x000\0') == written[1].count(b'B\0o\0o\0t\x000\x000\x000\x000\0'),
          'the second start finds them')


def main():
    paisano, = sys.argv[1:]
    tmp = tempfile.mkdtemp()
    seabios(paisano, tmp)
    ovmf(paisano, tmp)


main()
