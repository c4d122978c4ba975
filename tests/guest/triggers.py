#!/usr/bin/env python3
"""The engine changes when something happens: a Debian kernel boots, and is examined in the interpreter at some points.
usage: triggers.py PAISANO KERNEL INITRD [OPTION...]"""
import os, re, subprocess, sys, tempfile

from guest import LIMIT, Console, check
from switch import Monitor


def refused(command, words, status, what):
    p = subprocess.run(command + words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       timeout=LIMIT)
    text = p.stderr.decode(errors='replace').strip()
    check(p.returncode == status and what in text, f'{" ".join(words)}: {text}')


def main():
    paisano, kernel, initrd, *options = sys.argv[1:]
    base = [paisano, '-m', '256M', '-nographic', '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0', *options]
    for words, what in ((['-switch', 'interp'], 'when'), (['-switch', 'intrep,ms=1'], 'did you mean interp'),
                        (['-switch', 'interp,prt=1'], 'did you mean port'), (['-switch', 'interp,port=65536'], '0xffff'),
                        (['-accel', 'jti'], 'no such engine'), (['-accel', 'jit,fallbak=off'], 'did you mean')):
        refused(base, words, 2, what)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'monitor')
        early = [('interp', 'port=0x70'), ('jit', 'msr=0x1b'), ('interp', 'vector=0xe'), ('jit', 'ms=400'),
                 ('interp', 'text=Freeing')]
        words = [word for to, when in early for word in ('-switch', f'{to},{when}')]
        console = Console(base + ['-accel', 'jit:interp', '-monitor', f'unix:{path},server,nowait'] + words)
        boot = console.expect(r'(?s)\A.*GUEST-READY')[0]
        console.expect('guest:.*# ')
        for to, when in early:
            check(re.search(rf'engine: (\w+ -> )?{to}( stays)?: {when}', boot), f'booting: {when} leads to {to}')

        monitor = Monitor(path)
        monitor.ask('engine jit')
        address = console.run('grep " [Tt] __do_sys_newuname$" /proc/kallsyms', r'\n([0-9a-f]{16}) ')[1]
        for when, run in ((f'addr=0x{address}', 'uname -m'), ('text=wo rd', 'echo "wo ""rd"'), ('vector=0x6', 'true'),
                          ('insns=1000000', 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'), ('ms=300', 'sleep 1')):
            monitor.ask(f'engine interp when {when}')
            check(f'waiting    interp when {when}' in monitor.ask('info engine'), f'waits for {when}')
            if when == 'vector=0x6':  # the kernel's own #UD are rare
                monitor.ask('engine never')
                check('waiting' not in monitor.ask('info engine'), 'waits no more')
                continue
            console.type(run)
            console.expect(rf'engine: jit -> interp: {when}')
            check('engine     interp' in monitor.ask('info engine'), f'{when} leads to the interpreter')
            monitor.ask('engine jit')
            console.run('echo go""ne', 'gone')
        console.type('poweroff')
        check(console.process.wait(LIMIT) == 0, 'the guest powers off')


main()
