#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a hostile program with two disks of its own: it comes to its end, and the disks are still what they were taken for.
usage: disk.py PAISANO PROGRAM.elf ROUNDS CPUS [OPTION...]"""
import os, subprocess, sys, tempfile

MIB = 1 << 20
HEADERS = (b'QFI\xfb', b'\x7fELF', b'KDMV')


def main():
    paisano, elf, rounds, cpus, *options = sys.argv[1:]
    paisano, elf = os.path.abspath(paisano), os.path.abspath(elf)
    with tempfile.TemporaryDirectory(prefix='paisano-hostile-') as tmp:
        disks = [os.path.join(tmp, name) for name in ('disk0', 'disk1')]
        for disk in disks:
            with open(disk, 'wb') as f:
                f.truncate(4 * MIB)
        p = subprocess.run([paisano, '-m', '64M', '-nographic', '-smp', cpus, '-device', 'isa-debug-exit', '-kernel', elf,
                            '-append', rounds, '-hda', disks[0], '-hdb', disks[1], *options], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = p.stdout.decode(errors='replace')
        print(text)
        bad = [d for d in disks if open(d, 'rb').read(4) in HEADERS or os.path.getsize(d) != 4 * MIB]
        if p.returncode != 33 << 1 | 1 or 'end\n' not in text or 'FAILED' in text or bad:
            print(f'FAILED: exit code {p.returncode}, {bad}')
            sys.exit(1)


main()
