#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The interrupt lines of devices that are added by -device, on every engine; where no lines are left, one is refused with a line.
usage: lines.py PAISANO LINES.ELF ENGINE..."""
import subprocess, sys
from peer import LIMIT, fail

paisano, kernel, *engines = sys.argv[1:]
DEVICES = ['-device', 'isa-serial,index=2,irq=5', '-device', 'pc-testdev', '-device', 'isa-debug-exit']


def run(*options):
    try:
        return subprocess.run([paisano, '-display', 'none', '-serial', 'none', '-kernel', kernel, *options], timeout=LIMIT,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        fail(f'{" ".join(options)}: it hangs')


ways = [['-accel', e] for e in engines] + [['-accel', 'interp', '-icount', 'shift=0']]
if 'jit' in engines:
    ways.append(['-accel', 'jit', '-jit', 'check,warm=1'])
for way in ways:
    done = run(*way, *DEVICES)
    if done.returncode & 1 == 0:
        fail(f'{" ".join(way)}: exit code {done.returncode}: {done.stdout}{done.stderr}')
    if done.returncode != 1:
        fail(f'{" ".join(way)}: check {done.returncode >> 1} of lines.S failed')
    if 'difference' in done.stdout + done.stderr:
        fail(f'{" ".join(way)}: {done.stdout}{done.stderr}')
done = run('-accel', 'interp', '-device', 'pc-testdev', '-device', 'pc-testdev', *DEVICES)
if done.returncode != 2 or done.stderr.count('\n') != 1 or 'too many' not in done.stderr:
    fail(f'three of them: exit code {done.returncode}: {done.stderr}')
