#!/usr/bin/env python3
"""A guest that waits at its shell costs next to nothing: processor time that the emulator uses in some seconds of idling. The bound
is generous (a busy host makes wake-ups dearer); --measure SECONDS prints the share instead.
usage: idle.py PAISANO KERNEL INITRD [--measure SECONDS] [OPTION...]"""
import os, sys, time
from guest import Console, check


def used(pid):
    """Seconds of processor time, user and system."""
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def main():
    args = sys.argv[1:]
    seconds = 6.0
    measure = '--measure' in args
    if measure:
        i = args.index('--measure')
        seconds = float(args[i + 1])
        del args[i:i + 2]
    paisano, kernel, initrd, *options = args
    console = Console([paisano, '-m', '512M', '-nographic', '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0',
                       *options])
    console.expect('guest:.*# ')
    time.sleep(3)  # what the kernel does after it has booted
    before, start = used(console.process.pid), time.monotonic()
    time.sleep(seconds)
    cost, took = used(console.process.pid) - before, time.monotonic() - start
    print(f'{cost:.2f} s of processor time in {took:.1f} s: {100 * cost / took:.2f} %')
    if not measure:
        check(cost < 0.1 * took, 'an idle guest leaves the host alone')
    console.process.kill()
    console.process.wait()


if __name__ == '__main__':
    main()
