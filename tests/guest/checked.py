#!/usr/bin/env python3
"""Linux to its shell, and a few commands, while every run of a translation is compared with the interpreter.
usage: checked.py PAISANO KERNEL INITRD"""
import os, re, sys, tempfile

from guest import LIMIT, Console, check
from busy import Monitor


def main():
    paisano, kernel, initrd = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='paisano-checked-') as tmp:
        path, log = os.path.join(tmp, 'monitor'), os.path.join(tmp, 'log')
        console = Console([paisano, '-accel', 'jit', '-jit', 'check', '-D', log, '-m', '512M', '-display', 'none',
                           '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet', '-serial', 'stdio', '-monitor',
                           f'unix:{path},server,nowait'])
        try:
            console.expect('GUEST-READY')
            console.run('echo $((6 * 7)) | md5sum', '50a2fabfdd276f573ff97ace8b11c5f4')
            monitor = Monitor(path)
            monitor.expect(b'(paisano) ')
            info = monitor.ask('info jit')
            print(info)
            if os.path.exists(log):
                with open(log) as f:
                    print(f.read()[:5000])
            runs, differences = (int(re.search(name + r' +(\d+)', info)[1]) for name in ('checked runs', 'differences'))
            check(runs > 1000000, f'{runs} runs were compared')
            check(differences == 0, f'{differences} differences')
            monitor.send('quit\n')
            check(console.process.wait(LIMIT) == 0, 'quit')
        finally:
            console.process.kill()
            console.process.wait()


main()
