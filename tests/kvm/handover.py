#!/usr/bin/env python3
"""Linux's boot begins under KVM and is handed to the translator, after some time or because KVM cannot go on: it reaches the shell,
without a complaint of the kernel's, and works.
usage: handover.py PAISANO KERNEL INITRD PRELOAD MILLISECONDS... (never: when KVM cannot go on, which PRELOAD makes it say)"""
import os, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'guest'))
import device
from guest import LIMIT, Console, check
from peer import Peer


def where(path):
    """Of a machine that does not go on: what runs it, where its CPU is at three moments, what came of its interrupts."""
    monitor = Peer(path)
    said = monitor.expect(b'(paisano) ')
    for name in ('engine', 'cpus', 'registers', 'registers', 'registers', 'irq', 'jit', 'perf'):
        time.sleep(0.3)
        monitor.send(f'info {name}\n')
        said += monitor.expect(b'(paisano) ')
    return said


def hand_over(command, kernel, initrd, ms, monitor):
    console = Console([*command, '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 earlyprintk=serial',
                       '-monitor', f'unix:{monitor},server,nowait'], lambda: where(monitor))
    print(f'after {ms} ms:', console.expect('engine: kvm -> jit: .*\n')[0].strip())
    boot = console.expect(r'(?s)\A.*GUEST-READY')[0]
    console.expect('guest:.*# ')
    for word in ('unexpected', 'WARNING:', 'BUG:', 'Oops', 'Call Trace', 'Kernel panic'):
        check(word not in boot, f'no {word!r} in the boot messages')
    console.run('dd if=/dev/zero bs=1M count=8 2>/dev/null | md5sum', r'96995b58d4cbf6aaa9041b4f00c7f6ae')
    console.run('sleep 1; echo sl""ept', r'\nslept\n')
    console.type('poweroff')
    check(console.process.wait(LIMIT) == 0, 'handed over, it reaches the shell, works and powers off')


def main():
    paisano, kernel, initrd, preload, *times = sys.argv[1:]
    device.need()
    for ms in times:
        when = ['-switch', f'jit,ms={ms}']
        fake = []
        if ms == 'never':
            when = []
            fake = ['env', f'LD_PRELOAD={preload}', 'ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0', 'FAKE_RUN=5']
        command = [*fake, paisano, '-m', '512M', '-nographic', '-accel', 'kvm:jit', *when]
        with tempfile.TemporaryDirectory() as folder:
            hand_over(command, kernel, initrd, ms, os.path.join(folder, 'monitor'))


main()
