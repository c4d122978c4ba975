#!/usr/bin/env python3
"""Runs the program for several CPUs under Paisano.
usage: smp.py PAISANO LITMUS.elf ROUNDS CPUS [OPTION...]
       smp.py PAISANO LITMUS.elf ROUNDS CPUS twice [OPTION...]   (two runs must be alike to the last instruction)"""
import re, subprocess, sys


def run(paisano, elf, rounds, cpus, options):
    p = subprocess.run([paisano, '-m', '64M', '-nographic', '-smp', cpus, '-device', 'isa-debug-exit', '-kernel', elf, '-append',
                        rounds, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = re.sub(r'paisano: engine: [^\n]*\n', '', p.stdout.decode(errors='replace'))
    if p.returncode != 33 << 1 | 1 or not text.endswith('end\n') or 'FAILED' in text:
        print(text)
        print(f'FAILED: exit code {p.returncode}')
        sys.exit(1)
    return text


def main():
    paisano, elf, rounds, cpus, *options = sys.argv[1:]
    twice = options[:1] == ['twice']
    text = run(paisano, elf, rounds, cpus, options[twice:])
    print(text)
    if twice and run(paisano, elf, rounds, cpus, options[twice:]) != text:
        print('FAILED: the second run differs')
        sys.exit(1)


main()
