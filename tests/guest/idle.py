#!/usr/bin/env python3
"""A guest that waits at its shell leaves the host alone: each thread is seen asleep again and again, and they wake rarely, by the
guest's own clock. (On a busy host a thread that has woken may wait long for its turn: it need not be asleep most of the time.)
--measure SECONDS prints the share of a processor that it costs instead.
usage: idle.py PAISANO KERNEL INITRD [--measure SECONDS] [OPTION...]"""
import collections, os, sys, time
from guest import Console, check

LOOKS = 60
WAKES = 2500  # a second: ten times what was seen


def used(pid):
    """Seconds of processor time, user and system."""
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def threads(pid):
    """Which threads are asleep, and how often all have gone to sleep."""
    asleep, sleeps = {}, 0
    for thread in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{thread}/status') as f:
            fields = dict(line.split(':', 1) for line in f if ':' in line)
        asleep[thread] = fields['State'].split()[0] == 'S'
        sleeps += int(fields['voluntary_ctxt_switches'])
    return asleep, sleeps


def uptime(console):
    return float(console.run('cat /proc/uptime; echo re""ad', r'\n([\d.]+) [\d.]+\nread\n')[1])


def measure(pid, seconds):
    before, start = used(pid), time.monotonic()
    time.sleep(seconds)
    cost, took = used(pid) - before, time.monotonic() - start
    print(f'{cost:.2f} s of processor time in {took:.1f} s: {100 * cost / took:.2f} %')


def main():
    args = sys.argv[1:]
    seconds = 0
    if '--measure' in args:
        i = args.index('--measure')
        seconds = float(args[i + 1])
        del args[i:i + 2]
    paisano, kernel, initrd, *options = args
    console = Console([paisano, '-m', '512M', '-nographic', '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0',
                       *options])
    pid = console.process.pid
    console.expect('guest:.*# ')
    console.run('sleep 3; echo sl""ept', r'\nslept\n')  # what the kernel does after it has booted
    if seconds:
        measure(pid, seconds)
    else:
        start, before = uptime(console), threads(pid)[1]
        asleep = collections.Counter(dict.fromkeys(threads(pid)[0], 0))
        for _ in range(LOOKS):
            time.sleep(0.1)
            asleep.update(threads(pid)[0])
        wakes = (threads(pid)[1] - before) / (uptime(console) - start)
        check(min(asleep.values()) >= LOOKS / 10, f'asleep when looked at {LOOKS} times: {sorted(asleep.values())}')
        check(wakes < WAKES, f'{wakes:.0f} times a second of the guest\'s one of them wakes')
    console.process.kill()
    console.process.wait()


if __name__ == '__main__':
    main()
