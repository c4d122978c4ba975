#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs are built so that a mistake in them is hard to use: readelf has the last word, whatever flags were given.

usage: hardening.py PROGRAM..."""
import re
import subprocess
import sys

failed = []


def readelf(program, *what):
    return subprocess.run(["readelf", "-W", *what, program], capture_output=True, text=True, check=True).stdout


def check(ok, program, what):
    print("ok" if ok else "FAILED", program.rsplit("/", 1)[-1], what)
    if not ok:
        failed.append(what)


def segments(text):
    """(type, flags) of each program header."""
    return re.findall(r"^\s+(\w+)\s+0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([R ][W ][E ])", text, re.M)


def look(program):
    head, programs, dynamic = readelf(program, "-h"), readelf(program, "-l"), readelf(program, "-d")
    symbols, notes = readelf(program, "--dyn-syms"), readelf(program, "-n")
    found = segments(programs)
    check(re.search(r"Type:\s+DYN", head) and re.search(r"FLAGS_1\).*\bPIE\b", dynamic), program, "moves as a whole: PIE")
    check("GNU_RELRO" in [kind for kind, _ in found], program, "relocations become read-only: RELRO")
    check(re.search(r"FLAGS\).*\bBIND_NOW\b|FLAGS_1\).*\bNOW\b", dynamic), program, "all of them: no lazy binding")
    check([flags for kind, flags in found if kind == "GNU_STACK"] == ["RW "], program, "the stack holds no code")
    loads = [flags for kind, flags in found if kind == "LOAD"]
    check(len(loads) >= 4 and not any("W" in flags and "E" in flags for flags in loads), program, "nothing is both written and run")
    check(loads.count("R E") == 1 and "R  " in loads, program, "constants lie apart from code")
    check("TEXTREL" not in dynamic, program, "no relocations in code")
    check(not re.search(r"R(UN)?PATH", dynamic), program, "libraries come from where the system has them")
    check("__stack_chk_fail" in symbols, program, "stack canaries")
    fortified = re.findall(r"\b__(\w+)_chk\b", symbols)
    check("snprintf" in fortified or "vsnprintf" in fortified, program, "checked library calls: FORTIFY_SOURCE")
    check(not re.search(r"x86 feature:.*\b(IBT|SHSTK)\b", notes), program, "no claim to be ready for CET")


for argument in sys.argv[1:]:
    look(argument)
sys.exit(1 if failed else 0)
