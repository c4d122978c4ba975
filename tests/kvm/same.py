#!/usr/bin/env python3
"""Test programs end alike under the interpreter, the translator and KVM: all registers, all memory.
usage: same.py INSN-RUN SOURCES PROGRAMS NAME..."""
import os, subprocess, sys, tempfile

SKIP = 77
# time, and what only counts in other modes
NOT_COMPARED = ('tsc_offset', 'tsc_adjust', 'instructions', 'gpr_page')


def state(path):
    lines = {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if words and words[0].split('.')[-1].split('[')[0] not in NOT_COMPARED:
                lines[' '.join(words[:2]) if words[0] == 'page' else words[0]] = words[2 if words[0] == 'page' else 1]
    return lines


def main():
    run, sources, programs, *names = sys.argv[1:]
    failed = skipped = False
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            ends = {}
            for engine, options in (('interp', []), ('jit', ['--jit']), ('kvm', ['--kvm', ''])):
                path = os.path.join(folder, f'{name}.{engine}')
                p = subprocess.run([run, '--dump', path, *options, f'{sources}/{name}.S', f'{programs}/{name}.elf'],
                                   stdout=subprocess.PIPE, text=True, timeout=100)
                if p.returncode == SKIP:
                    print('skipped:', p.stdout.strip())
                    skipped = True
                    continue
                if p.returncode:
                    print(f'FAILED: {name} under {engine}:\n{p.stdout}')
                    failed = True
                    continue
                ends[engine] = state(path)
            for engine in ends:
                different = [f'{key}: {ends["interp"].get(key)} but {ends[engine].get(key)}'
                             for key in sorted(ends['interp'].keys() | ends[engine].keys())
                             if ends['interp'].get(key) != ends[engine].get(key)]
                failed |= bool(different)
                print(f'{"FAILED: " if different else ""}{name}: {engine} ends with {len(ends[engine])} equal fields and pages',
                      *different, sep='\n  ')
    sys.exit(1 if failed else SKIP if skipped else 0)


main()
