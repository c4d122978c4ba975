#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a hostile program with two disks of its own and a CD, which is changed and ejected all the time; the machine is reset a few
times, too. The program comes to its end, and the disks are still what they were taken for.
usage: disk.py PAISANO PROGRAM.elf ROUNDS CPUS [OPTION...]"""
import os, random, socket, subprocess, sys, tempfile, threading, time

MIB = 1 << 20
HEADERS = (b'QFI\xfb', b'\x7fELF', b'KDMV')
RESETS = 3


def play_user(path, process, discs):
    """Monitor commands until the emulator is gone; each is sent when the last one was answered."""
    rng = random.Random(1)
    resets = done = 0
    try:
        while process.poll() is None and not os.path.exists(path):
            time.sleep(0.01)
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(path)
        answer = monitor.recv(4096)
        while answer:
            commands = [f'change ide1-cd0 {rng.choice(discs)}', 'eject -f ide1-cd0', 'info block']
            if resets < RESETS and rng.randrange(20) == 0:
                commands = ['system_reset']
                resets += 1
            monitor.sendall(rng.choice(commands).encode() + b'\n')
            answer = monitor.recv(4096)
            done += 1
            time.sleep(0.002)
    except OSError:
        pass
    print(f'{done} commands of the user, {resets} resets')


def main():
    paisano, elf, rounds, cpus, *options = sys.argv[1:]
    paisano, elf = os.path.abspath(paisano), os.path.abspath(elf)
    with tempfile.TemporaryDirectory(prefix='paisano-hostile-') as tmp:
        disks = [os.path.join(tmp, name) for name in ('disk0', 'disk1')]
        discs = [os.path.join(tmp, name) for name in ('disc0', 'disc1')]
        for path, size in zip(disks + discs, (4 * MIB, 4 * MIB, MIB, 300 * 2048)):
            with open(path, 'wb') as f:
                f.truncate(size)
        monitor = os.path.join(tmp, 'monitor')
        p = subprocess.Popen([paisano, '-m', '64M', '-nographic', '-smp', cpus, '-device', 'isa-debug-exit', '-kernel', elf,
                              '-append', rounds, '-hda', disks[0], '-hdb', disks[1], '-cdrom', discs[0], '-monitor',
                              f'unix:{monitor},server,nowait', *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        user = threading.Thread(target=play_user, args=(monitor, p, discs))
        user.start()
        text = p.communicate()[0].decode(errors='replace')
        user.join()
        print(text)
        bad = [d for d in disks if open(d, 'rb').read(4) in HEADERS or os.path.getsize(d) != 4 * MIB]
        if p.returncode != 33 << 1 | 1 or 'end\n' not in text or 'FAILED' in text or bad:
            print(f'FAILED: exit code {p.returncode}, {bad}')
            sys.exit(1)


main()
