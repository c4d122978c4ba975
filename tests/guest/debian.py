#!/usr/bin/env python3
"""Debian on an IDE disk through SeaBIOS and GRUB to a login. Each round logs in, finds the files of all rounds before as they
were, writes new ones, syncs, and kills the emulator as soon as sync has returned; then the host looks at a copy of the image:
after the journal's replay e2fsck must find nothing wrong. The next boot checks the file system by itself and is watched too.
usage: debian.py PAISANO IMAGE raw|qcow2 ROUNDS [OPTION...]"""
import os, re, signal, subprocess, sys, tempfile

from guest import LIMIT, Console, check, fail

SETTLED = 'echo pass""ed'
WRITE = '''mkdir /root/round{0} && cd /root/round{0} && head -c 6000000 /dev/urandom >noise && cp -a /etc etc &&
seq 200000 >numbers && mv numbers moved && ln moved linked && for i in $(seq 40); do echo $i {0} >small$i; done &&
cp /usr/bin/perl.base /usr/bin/apt . 2>/dev/null; rm -f small?; truncate -s 3000000 holes; echo end >>holes;
find . -type f -exec sha256sum {{}} + | sort -k 2 | tee /root/sums{0} | sha256sum; sync && echo syn""ced'''
READ = '''cd /root/round{0} && sha256sum --quiet -c /root/sums{0} && sha256sum </root/sums{0}; [ "$(find . -type f | wc -l)" = \
"$(wc -l </root/sums{0})" ] || echo other files; echo pass""ed'''
COMPLAINTS = ('EXT4-fs error', 'EXT4-fs warning', 'I/O error', 'failed command', 'JBD2:', 'Buffer I/O', 'exception Emask',
              'BUG:', 'Oops', 'WARNING:')


def run(*command, ok=(0,)):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode not in ok:
        fail(f'{" ".join(command)} ended with {p.returncode}:\n{p.stdout[-3000:]}')
    return p.stdout


def no_repairs(said, what):
    """Replay and what a killed system leaves by design (files that were deleted while open) are no damage."""
    bad = [line for line in said.splitlines() if re.search('FIXED|INCONSISTENCY|corrupt|invalid|UNEXPECTED', line)]
    if bad:
        fail(f'{what}: {bad[:5]}')


def inspect(image, form, tmp):
    """The image as the kill has left it; the guest goes on from there, untouched."""
    raw, copy = image, os.path.join(tmp, 'copy.img')
    if form == 'qcow2':
        run('qemu-img', 'check', image)
        raw = os.path.join(tmp, 'raw.img')
        run('qemu-img', 'convert', '-O', 'raw', image, raw)
    run('dd', f'if={raw}', f'of={copy}', 'bs=1M', 'skip=1', 'conv=sparse', 'status=none')
    no_repairs(run('/sbin/e2fsck', '-fp', copy, ok=(0, 1)), 'e2fsck after the kill')
    run('/sbin/e2fsck', '-fn', copy)
    os.unlink(copy)
    if raw != image:
        os.unlink(raw)


def boot(paisano, image, form, options):
    console = Console([paisano, '-m', '512M', '-nographic', '-drive', f'if=ide,index=0,format={form},file={image}', *options])
    console.expect('Debian')   # GRUB's menu
    log = console.expect(r'(?s)(.*)paisano login: ')[1]
    bad = [line for line in log.splitlines() if any(word in line for word in COMPLAINTS)]
    if bad:
        fail(f'the guest complains: {bad[:5]}')
    console.run('root', 'Password: ')
    console.run('paisano', r'root@paisano:~# ')
    console.run('stty -echo; dmesg -n 1; PS1= ENV= exec sh', '\n')
    console.run('PS1=; ' + SETTLED, r'passed\n')
    said = console.run('cat /run/initramfs/fsck.log; ' + SETTLED, r'(?s)(.*)passed\n')[1]
    if 'exit status' not in said and 'blocks' not in said:
        fail(f'no check of the root file system at boot: {said!r}')
    no_repairs(said, 'the fsck at boot')
    return console


def verify(console, sums):
    for i, want in sums.items():
        said = console.run(READ.format(i), r'(?s)(.*)passed\n')[1]
        if said.split() != [want, '-']:
            fail(f'the files of round {i}: {said!r}, not {want}')


def main():
    paisano, original, form, rounds, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='paisano-debian-') as tmp:
        image = os.path.join(tmp, 'disk.' + form)
        if form == 'qcow2':
            run('qemu-img', 'convert', '-O', form, original, image)
        else:
            run('cp', '--sparse=always', original, image)
        sums = {}
        for i in range(int(rounds)):
            console = boot(paisano, image, form, options)
            verify(console, sums)
            sums[i] = console.run(WRITE.format(i).replace('\n', ' '), r'(?s)([0-9a-f]{64})  -\n.*synced\n')[1]
            os.kill(console.process.pid, signal.SIGKILL)
            console.process.wait()
            inspect(image, form, tmp)
            check(True, f'round {i + 1}: booted, {len(sums) - 1} rounds of files there, killed after sync, file system clean')
        console = boot(paisano, image, form, options)
        verify(console, sums)
        check(True, 'all files are there')
        console.type('systemctl poweroff')
        check(console.process.wait(LIMIT) == 0, 'power off')
        inspect(image, form, tmp)
        check(True, 'and the file system is clean')


main()
