#!/usr/bin/env python3
"""A guest that does nothing but loop, with interrupts off, can be looked at, stopped, stepped, let go on, reset and quit.
usage: busy.py PAISANO LOOP.elf ENGINE"""
import os, re, subprocess, sys, tempfile, time
from peer import LIMIT, Peer, check, fail

KINDS = {'a': 'a jump to itself', 'b': 'jumps between two pages', 'c': 'an indirect jump to itself', 'd': 'calls and returns',
         'e': 'a string instruction of 128 MiB', 'f': 'a fault that returns to itself',
         'g': 'HLT', 'h': 'a loop that patches itself'}


class Monitor(Peer):
    def ask(self, command):
        self.send(command + '\n')
        self.expect(command.encode())
        return self.expect(b'(paisano) ')

    def rip(self):
        return int(re.search(r'RIP[ =]*([0-9a-f]+)', self.ask('info registers'), re.I)[1], 16)


def loop(paisano, elf, engine, kind, tmp):
    serial, path = (os.path.join(tmp, kind + name) for name in ('serial', 'monitor'))
    process = subprocess.Popen([paisano, '-accel', engine, '-m', '256M', '-display', 'none', '-kernel', elf, '-append', kind,
                                '-serial', f'unix:{serial},server,nowait', '-monitor', f'unix:{path},server,nowait', '-S'],
                               stdin=subprocess.DEVNULL)
    try:
        console, monitor = Peer(serial), Monitor(path)
        monitor.expect(b'(paisano) ')
        monitor.ask('cont')
        console.expect(b'S')
        time.sleep(0.3)  # well into it
        what = KINDS[kind]
        rip = monitor.rip()
        check(0x100000 <= rip < 0x200000, f'{what}: registers of the running guest, RIP {rip:x}')
        monitor.ask('stop')
        check('paused' in monitor.ask('info status'), f'{what}: stops')
        first = monitor.rip()
        check(first == monitor.rip(), f'{what}: stands still')
        seen = {first}
        for i in range(12):
            monitor.ask('step')
            seen.add(monitor.rip())
        check(len(seen) > 1 or kind in 'aeg', f'{what}: {len(seen)} places in 12 steps')
        monitor.ask('step 100000')
        check(0x100000 <= monitor.rip() < 0x200000, f'{what}: many steps')
        monitor.ask('cont')
        check('running' in monitor.ask('info status'), f'{what}: goes on')
        monitor.ask('system_reset')
        console.expect(b'S')
        time.sleep(0.1)
        check(0x100000 <= monitor.rip() < 0x200000, f'{what}: reset, and there again')
        monitor.send('quit\n')
        check(process.wait(LIMIT) == 0, f'{what}: quit')
    finally:
        process.kill()
        process.wait()


def main():
    paisano, elf, engine = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        for kind in KINDS:
            loop(paisano, elf, engine, kind, tmp)


if __name__ == '__main__':
    main()
