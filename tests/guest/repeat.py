#!/usr/bin/env python3
"""Linux by counted instructions (-icount): it boots, does its tour, and a second run says the same to the last byte.
usage: repeat.py PAISANO KERNEL INITRD [OPTION...]"""
import subprocess, sys


def run(paisano, kernel, initrd, options):
    p = subprocess.run([paisano, '-m', '512M', '-nographic', '-no-reboot', '-kernel', kernel, '-initrd', initrd, '-append',
                        'console=ttyS0 tour', '-icount', 'shift=0', '-rtc', 'base=2026-01-01', *options], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, errors='replace', check=False)
    if p.returncode or 'TOUR-DONE' not in p.stdout:
        print(p.stdout[-3000:], p.stderr)
        sys.exit(f'FAILED: exit code {p.returncode}')
    return p.stdout


def main():
    paisano, kernel, initrd, *options = sys.argv[1:]
    first, second = (run(paisano, kernel, initrd, options) for _ in range(2))
    if first != second:
        different = next(pair for pair in zip(first.splitlines(), second.splitlines()) if pair[0] != pair[1])
        sys.exit(f'FAILED: the second run differs: {different}')
    print('ok:', len(first), 'bytes alike')


main()
