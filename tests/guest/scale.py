#!/usr/bin/env python3
"""How much more do two busy CPUs do than one? Boots Linux with two, and times the same work on one and on both, by the host's
clock; and what the host's CPUs spent on each work then, which a busy host does not blur so much (1.00: no more than alone). No
test: look at the best of several rounds.
usage: scale.py PAISANO KERNEL INITRD [ROUNDS [OPTION...]]"""
import os, sys, time

from guest import LIMIT, Console

WORK = {
    'sha256sum': 'dd if=/dev/zero bs=64k count=1500 2>/dev/null | sha256sum',
    'gzip': 'dd if=/dev/zero bs=64k count=600 2>/dev/null | gzip -c > /dev/null',
    'awk': "awk 'BEGIN { for (i = 0; i < 600000; i++) s += i % 7; print s }' > /dev/null",
    'fork': 'i=0; while [ $i -lt 600 ]; do /bin/true; i=$((i + 1)); done',
}


def spent(pid):
    """CPU seconds of all threads."""
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def main():
    paisano, kernel, initrd, *rest = sys.argv[1:]
    rounds, options = int(rest[0]) if rest else 5, rest[1:]
    console = Console([paisano, '-m', '512M', '-nographic', '-kernel', kernel, '-initrd', initrd, '-smp', '2', '-append',
                       'console=ttyS0', *options])
    console.expect('GUEST-READY')
    console.expect('guest:.*# ')

    def timed(command):
        start, before = time.monotonic(), spent(console.process.pid)
        console.run(f'{command}; echo do""ne', r'\ndone\n')
        return time.monotonic() - start, spent(console.process.pid) - before

    for name, work in WORK.items():
        timed(work)
        best = (0, '')
        for _ in range(rounds):
            one, one_cpu = timed(f'({work})')
            two, two_cpu = timed(f'({work}) & ({work}) & wait')
            best = max(best, (2 * one / two, f'one {one:.2f} s ({one_cpu:.2f} s of CPU), two {two:.2f} s ({two_cpu:.2f}), '
                              f'each for {two_cpu / one_cpu / 2:.2f} of the CPU time, load {os.getloadavg()[0]:.1f}'))
        print(f'{name:10} {best[0]:.2f} times one: {best[1]}', flush=True)
    console.type('poweroff')
    console.process.wait(LIMIT)


main()
