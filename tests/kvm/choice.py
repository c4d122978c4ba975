#!/usr/bin/env python3
"""-accel on hosts whose /dev/kvm is absent, not permitted, busy, something else or there: one line says what is chosen and why, the
guest runs, and fallback=off ends with its exit code. `paisano doctor` says the same at length.
usage: choice.py PAISANO PRELOAD"""
import errno, os, subprocess, sys, tempfile

import device

ACCEL, EXIT_BY_GUEST = 6, 33


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


# A boot sector that leaves through isa-debug-exit: mov al, 16; mov dx, 0x501; out dx, al; hlt
SECTOR = (bytes.fromhex('b010ba0105eef4ebfd').ljust(510, b'\0') + b'\x55\xaa').ljust(1474560, b'\0')


class Host:
    def __init__(self, paisano, preload, folder):
        self.paisano, self.preload, self.folder = paisano, preload, folder
        self.disk = os.path.join(folder, 'disk')
        with open(self.disk, 'wb') as f:
            f.write(SECTOR)

    def run(self, *options, **fake):
        env = {**os.environ, 'XDG_CACHE_HOME': self.folder}
        if fake:
            env.update(LD_PRELOAD=self.preload, ASAN_OPTIONS='verify_asan_link_order=0:detect_leaks=0',
                       **{k: str(v) for k, v in fake.items()})
        return subprocess.run([self.paisano, *options], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)

    def boots(self, what, words, *options, **fake):
        p = self.run('-m', '16M', '-display', 'none', '-device', 'isa-debug-exit', '-hda', self.disk, *options, **fake)
        lines = p.stderr.splitlines()
        check(p.returncode == EXIT_BY_GUEST, f'{what}: the guest runs ({p.returncode}) {p.stderr}')
        check(len(lines) == 1 and all(w in lines[0] for w in words), f'{what}: one line, {lines}')

    def refuses(self, what, words, *options, **fake):
        p = self.run('-m', '16M', '-display', 'none', '-hda', self.disk, *options, **fake)
        lines = p.stderr.splitlines()
        check(p.returncode == ACCEL and len(lines) == 1 and all(w in lines[0] for w in words),
              f'{what}: exit code {p.returncode}, {lines}')


def main():
    paisano, preload = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        host = Host(paisano, preload, folder)
        node = os.path.join(folder, 'kvm')
        with open(node, 'w'):
            pass
        fakes = [
            ('absent', ['No such file'], dict(FAKE_KVM=node, FAKE_OPEN=errno.ENOENT)),
            ('not permitted', ['Permission denied', 'sudo '], dict(FAKE_KVM=node, FAKE_OPEN=errno.EACCES)),
            ('busy', ['busy', 'hypervisor'], dict(FAKE_KVM=node, FAKE_OPEN=errno.EBUSY)),
            ('taken', ['busy', 'hypervisor'], dict(FAKE_KVM=node, FAKE_CREATE=errno.EBUSY)),
            ('something else', ["is not KVM's"], {}),
        ]
        for what, words, fake in fakes:
            host.boots(f'auto, {what}', ['engine ', 'no KVM: ', *words], '-accel', f'auto,device={node}', **fake)
            host.boots(f'kvm, {what}', ['-accel kvm: ', 'running on engine ', 'slower', *words], '-accel', f'kvm,device={node}',
                       **fake)
            host.refuses(f'kvm alone, {what}', words, '-accel', f'kvm,device={node},fallback=off', **fake)
        host.boots('a list', ['-accel kvm:interp: ', 'running on engine interp'], '-accel', f'kvm:interp,device={node}')
        host.boots('an option of QEMU', ['running on engine '], '-enable-kvm', '-accel', f'kvm,device={node}')
        host.boots('auto, the default device absent', ['engine ', 'no KVM: /dev/kvm: No such file'], FAKE_KVM='/dev/kvm',
                   FAKE_OPEN=errno.ENOENT)
        host.boots('auto, as this host is', ['engine '])
        host.boots('auto, once more', ['engine '])
        host.boots('instructions counted', ['engine ', '-icount'], '-icount', 'shift=10')
        speeds = os.path.join(folder, 'paisano', 'speeds')  # where there is no KVM, nothing is measured
        if not device.lacks():
            with open(speeds) as f:
                check('kvm' in f.read(), 'the measurement is kept')
        os.makedirs(os.path.dirname(speeds), exist_ok=True)
        with open(speeds, 'w') as f:
            f.write('nonsense\n' * 3 + '0 kvm x y\n')
        host.boots('auto, nonsense in the file of measurements', ['engine '])
        # as this host is, and without its KVM; `speed` has what can be measured
        for what, fake in (('doctor', {}), ('doctor without KVM', dict(FAKE_KVM='/dev/kvm', FAKE_OPEN=errno.ENOENT))):
            p = host.run('doctor', **fake)
            rows = [line.split()[0] for line in p.stdout.splitlines() if line[:1].strip()]
            wanted = 'paisano host flavour hardware container device modules kvm speed choice sandbox'.split()
            check(p.returncode == 0 and rows == wanted,
                  f'{what}: {rows}\n{p.stdout}')
            for words in ('interp', 'million instructions', '-accel auto: engine '):
                check(words in p.stdout, f'{what}: {words}')


main()
