#!/usr/bin/env python3
"""Boots a Debian kernel under Paisano, types into its serial console and checks what comes back.
usage: guest.py PAISANO KERNEL INITRD [OPTION...]"""
import atexit, os, pty, re, select, subprocess, sys, termios, time

from peer import LIMIT


class Console:
    """The guest's console on a pseudo-terminal, as a user has it."""

    def __init__(self, command, stuck=None):
        """stuck(): words about the machine, asked for when it does not say what is expected."""
        self.stuck = stuck
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        atexit.register(self.process.kill)  # a test that fails leaves nothing running
        self.text = ''

    def expect(self, pattern, limit=LIMIT):
        end = time.monotonic() + limit
        while True:
            m = re.search(pattern, self.text)
            if m:
                self.text = self.text[m.end():]
                return m
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                if self.stuck:
                    print(self.stuck())
                fail(f'no {pattern!r} within {limit} s; the console ended with:\n{self.text[-3000:]}')
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b''
            if not data:
                fail(f'the console closed before {pattern!r}:\n{self.text[-3000:]}')
            self.text = (self.text + data.decode(errors='replace')).replace('\r\n', '\n')

    def type(self, line):
        os.write(self.master, line.encode() + b'\n')

    def run(self, command, pattern, limit=LIMIT):
        self.type(command)
        return self.expect(pattern, limit)


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


def check_clocks(console):
    """The guest's clocks agree with each other and with the host's, however long everything takes: what a clock tells of a
    span lies between what another one tells from inside and from outside of it."""

    def read():
        outside = time.monotonic()
        m = console.run('cat /proc/uptime /sys/class/rtc/rtc0/since_epoch /proc/uptime; echo re""ad',
                        r'\n([\d.]+) [\d.]+\n(\d+)\n([\d.]+) [\d.]+\nread\n')
        return outside, float(m[1]), int(m[2]), float(m[3]), time.monotonic()

    first = read()
    time.sleep(3)
    second = read()
    console.run('sleep 3; echo sl""ept', r'\nslept\n')
    third = read()
    check(third[1] - second[3] >= 3, f'sleep 3 took {third[1] - second[3]:.2f} s of the guest\'s time')
    for a, b in ((first, second), (second, third), (first, third)):
        inside, outside = b[1] - a[3], b[3] - a[1]
        check(inside - 1.1 <= b[2] - a[2] <= outside + 1.1,
              f'{b[2] - a[2]} s on the RTC are {inside:.2f} to {outside:.2f} on the system\'s clock')
        host_inside, host_outside = b[0] - a[4], b[4] - a[0]
        check(0.99 * host_inside - 0.1 <= outside and inside <= 1.01 * host_outside + 0.1,
              f'which are {host_inside:.2f} to {host_outside:.2f} on the host\'s')


def main():
    paisano, kernel, initrd, *options = sys.argv[1:]
    cpus = int(options[options.index('-smp') + 1]) if '-smp' in options else 1
    console = Console([paisano, '-m', '512M', '-nographic', '-kernel', kernel, '-initrd', initrd,
                       '-append', 'console=ttyS0', *options])
    boot = console.expect(r'(?s)\A.*GUEST-READY')[0]
    console.expect('guest:.*# ')
    check(True, 'reached the shell')
    for word in ('unexpected', 'WARNING:', 'BUG:', 'Oops', 'Call Trace', 'Kernel panic', 'unchecked MSR', 'Spurious', 'FPU might'):
        lines = [line for line in boot.splitlines() if word in line]
        check(not lines, f'no {word!r} in the boot messages {lines[:2]}')

    console.run('echo $((6 * 7))-typed', r'\n42-typed\n')
    check(True, 'typing works')
    console.run('grep -c ^processor /proc/cpuinfo; echo cpus', rf'\n{cpus}\ncpus')
    console.run('dd if=/dev/zero bs=1M count=8 2>/dev/null | md5sum', r'96995b58d4cbf6aaa9041b4f00c7f6ae')
    check(True, 'md5sum of 8 MiB of zeros is right')
    console.run('echo a1b2 | sed s/b/-/ | tr a-z A-Z; awk "BEGIN{printf \\"%.9f\\\\n\\", 22 / 7 * 1.5}"',
                r'A1-2\n4\.714285714\n')
    check(True, 'text tools and floating point work')

    check_clocks(console)
    console.run('for i in 1 2 3 4 5 6 7 8; do (echo child $i) & done; wait; echo do""ne', r'\ndone\n')
    check(True, 'processes come and go')
    if cpus > 1:
        console.run(f'for i in $(seq {cpus}); do (dd if=/dev/zero bs=1M count=8 2>/dev/null | md5sum > /tmp/sum$i) & done; wait; '
                    'cat /tmp/sum* | sort -u; echo su""ms', r'\n96995b58d4cbf6aaa9041b4f00c7f6ae  -\nsums')
        check(True, 'all CPUs compute the same')
    words = 'oops|call trace|unexpected|lockup|tsc: marking'
    log = console.run(f'dmesg > /tmp/log; grep -ciE "{words}" /tmp/log; echo gr""ep', r'(\d+)\ngrep')
    check(log[1] == '0', 'dmesg is clean')

    console.type('poweroff')
    try:
        code = console.process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        console.process.kill()
        fail('poweroff did not end the emulator')
    check(code == 0, f'poweroff ends with exit code {code}')
    check(termios.tcgetattr(console.slave) == console.before, 'the terminal is as it was')


if __name__ == '__main__':
    main()
