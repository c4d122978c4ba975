#!/usr/bin/env python3
"""Test programs end alike under the interpreter and another engine: all registers, all memory.
usage: same.py INSN-RUN jit|kvm SOURCES PROGRAMS NAME...   (77: no KVM here)"""
import os, subprocess, sys, tempfile

SKIP = 77
# time, and what only counts in other modes
NOT_COMPARED = ('tsc_offset', 'tsc_adjust', 'instructions', 'gpr_page')
# a KVM in software loses the selectors of the x87's pointers
NOT_WITH_KVM = ('fcs', 'fds')


def state(path, left_out):
    lines = {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if words and words[0].split('.')[-1].split('[')[0] not in left_out:
                lines[' '.join(words[:2]) if words[0] == 'page' else words[0]] = words[2 if words[0] == 'page' else 1]
    return lines


def main():
    run, other, sources, programs, *names = sys.argv[1:]
    options = {'interp': [], 'jit': ['--jit'], 'kvm': ['--kvm', '']}
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            ends = {}
            for engine in (other, 'interp'):
                path = os.path.join(folder, f'{name}.{engine}')
                p = subprocess.run([run, '--dump', path, *options[engine], f'{sources}/{name}.S', f'{programs}/{name}.elf'],
                                   stdout=subprocess.PIPE, text=True)
                if p.returncode == SKIP:
                    print('skipped:', p.stdout.strip())
                    sys.exit(SKIP)
                if p.returncode:
                    print(f'FAILED: {name} under {engine}:\n{p.stdout}')
                    failed = True
                    continue
                ends[engine] = state(path, NOT_COMPARED + (NOT_WITH_KVM if other == 'kvm' else ()))
            if len(ends) < 2:
                continue
            a, b = ends['interp'], ends[other]
            different = [f'{key}: {a.get(key)} but {b.get(key)}' for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
            failed |= bool(different)
            print(f'{"FAILED: " if different else ""}{name}: {other} ends with {len(a)} fields and pages'
                  f'{", these not equal" if different else ", all equal"}', *different, sep='\n  ')
    sys.exit(1 if failed else 0)


main()
