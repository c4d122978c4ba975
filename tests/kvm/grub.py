#!/usr/bin/env python3
"""Under KVM: SeaBIOS, GRUB's rescue CD, its prompt; keys typed there work.
usage: grub.py PAISANO ISO"""
import os, socket, subprocess, sys, tempfile, time

import device

LIMIT = 1500  # seconds


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def main():
    paisano, iso = sys.argv[1:]
    device.need()
    folder = tempfile.mkdtemp()
    monitor, serial = os.path.join(folder, 'monitor'), os.path.join(folder, 'serial')
    log = open(os.path.join(folder, 'log'), 'w+')
    p = subprocess.Popen([paisano, '-m', '64M', '-accel', 'kvm,fallback=off', '-nographic', '-serial', f'file:{serial}', '-monitor',
                          f'unix:{monitor},server,nowait', iso], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def screen():
        try:
            with open(serial, errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def wait_for(words):
        end = time.monotonic() + LIMIT
        while words not in screen():
            if p.poll() is not None or time.monotonic() > end:
                log.seek(0)
                p.kill()
                fail(f'no {words!r}; code {p.returncode}, {log.read()}\nthe console ended with:\n{screen()[-2000:]}')
            time.sleep(0.3)
        print('ok:', words)

    wait_for('SeaBIOS (version')
    wait_for('GNU GRUB')
    control = socket.socket(socket.AF_UNIX)
    control.connect(monitor)
    control.settimeout(LIMIT)

    def say(line, answer):
        control.sendall(line.encode() + b'\n')
        got = b''
        while answer not in got:
            got += control.recv(4096)
        return got

    say('sendkey c', b'(paisano) ')
    wait_for('grub>')
    for key in ('e', 'c', 'h', 'o', 'spc', 'k', 'v', 'm', 'minus', 'o', 'k', 'ret'):
        say(f'sendkey {key}', b'(paisano) ')
    wait_for('echo kvm-ok')
    say('info perf', b'KVM exits')
    print('ok: the exits are counted')
    control.sendall(b'quit\n')
    code = p.wait(LIMIT)
    if code:
        log.seek(0)
        fail(f'exit code {code}: {log.read()}')


main()
