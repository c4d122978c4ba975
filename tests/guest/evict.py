#!/usr/bin/env python3
"""Linux boots and works with so little room for translated code that it is evicted all the time.
usage: evict.py PAISANO KERNEL INITRD"""
import os, re, sys, tempfile
from guest import LIMIT, Console, check
from peer import Peer


def main():
    paisano, kernel, initrd = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, 'monitor')
        console = Console([paisano, '-accel', 'jit', '-jit', 'cache=1M', '-m', '512M', '-nographic', '-kernel', kernel, '-initrd',
                           initrd, '-append', 'console=ttyS0', '-monitor', f'unix:{path},server,nowait'])
        monitor = Peer(path)
        monitor.expect(b'(paisano) ')
        console.expect('GUEST-READY')
        console.expect('guest:.*# ')
        check(True, 'reached the shell')
        console.run('dd if=/dev/zero bs=1M count=8 2>/dev/null | md5sum', '96995b58d4cbf6aaa9041b4f00c7f6ae')
        console.run('i=0; while [ $i -lt 10 ]; do echo $i | sed s/1/x/ | tr x y; i=$((i+1)); done | md5sum',
                    '29c5cc302e99f37de4d73ca745fad57b')
        log = console.run('dmesg | grep -iE "oops|call trace|unexpected|lockup|bug:|segfault" | sed s/^/found:/; echo gr""ep',
                          r'(?s).*?\ngrep\n')
        found = re.findall(r'\nfound:(.*)', log[0])
        check(not found, f'works {found}')
        monitor.send('info jit\n')
        answer = monitor.expect(b'(paisano) ')
        evicted, flushes = (int(re.search(rf'{what}\s+(\d+)', answer)[1]) for what in ('regions evicted', 'cache flushes'))
        check(evicted > 50 and flushes < evicted / 10, f'{evicted} regions evicted, {flushes} times all')
        console.type('poweroff')
        check(console.process.wait(LIMIT) == 0, 'poweroff')


if __name__ == '__main__':
    main()
