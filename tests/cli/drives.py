#!/usr/bin/env python3
"""Images that are not what they should be: an exit code with one line at the start, or an error that the guest sees with one line.
The guest is a boot sector that writes a sector at 2 MiB through INT 13h and reports by isa-debug-exit how that went.
usage: drives.py PAISANO PAISANO-IMG"""
import os, resource, signal, subprocess, sys, tempfile

FILE, TIMEOUT = 4, 10
WRITTEN, REFUSED = 3, 9  # (1 << 1) | 1, (4 << 1) | 1
MIB = 1 << 20

BOOT = bytes.fromhex('31c0 8ed8 8ed0 bc007c'  # xor ax,ax; mov ds,ax; mov ss,ax; mov sp,0x7c00
                     'be407c b80043 b280 cd13'  # mov si,packet; mov ax,0x4300; mov dl,0x80; int 0x13
                     '18c0 2403 fec0'  # sbb al,al; and al,3; inc al
                     'ba0105 ee f4 ebfd')  # mov dx,0x501; out dx,al; hlt; jmp
PACKET = bytes([16, 0, 1, 0, 0, 0x7e, 0, 0]) + (2 * MIB // 512).to_bytes(8, 'little')


def boot_disk(path):
    with open(path, 'wb') as f:
        f.write((BOOT.ljust(64, b'\0') + PACKET).ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(4 * MIB)


# The same, but it reads the last sector.
READ = BOOT.replace(bytes.fromhex('b80043'), bytes.fromhex('b80042'))


def small_disk(path, size):
    with open(path, 'wb') as f:
        f.write((READ.ljust(64, b'\0') + PACKET[:8] + ((size - 1) // 512).to_bytes(8, 'little')).ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(size)


def main():
    paisano, tool = (os.path.abspath(p) for p in sys.argv[1:])
    failed = []

    def img(*arguments, limit=0):
        def tighten():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python's own children are born with it ignored
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return subprocess.run([tool, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              preexec_fn=tighten if limit else None)

    def case(name, arguments, code, words, limit=0, user=0):
        def prepare():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if user:
                os.setuid(user)
        p = subprocess.run([paisano, '-accel', 'jit', '-m', '64M', '-display', 'none', '-monitor', 'none', '-serial', 'none',
                            '-device', 'isa-debug-exit', '-timeout', '600', *arguments], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, preexec_fn=prepare)
        lines = p.stderr.splitlines()
        good = p.returncode == code and len(lines) == (words is not None) and (not lines or words in lines[0])
        print('ok' if good else 'FAILED', name, '' if good else f'exit {p.returncode} (not {code}), stderr {lines[:4]}')
        if not good:
            failed.append(name)

    with tempfile.TemporaryDirectory(prefix='paisano-drives-') as tmp:
        os.chdir(tmp)
        os.chmod(tmp, 0o755)
        boot_disk('raw')
        case('a disk with room', ['-hda', 'raw'], WRITTEN, None)
        boot_disk('raw')
        case('no room on the host, raw', ['-hda', 'raw'], REFUSED, 'raw: the host has no room left', limit=MIB)
        img('convert', '-O', 'qcow2', 'raw', 'thin.qcow2')
        size = os.path.getsize('thin.qcow2')
        case('no room on the host, qcow2', ['-hda', 'thin.qcow2'], REFUSED, 'thin.qcow2: the host has no room left', limit=size)
        case('room again', ['-hda', 'thin.qcow2'], WRITTEN, None)
        p = img('check', 'thin.qcow2')
        if p.returncode:
            failed.append(f'check: {p.stdout} {p.stderr}')
        case('a read-only drive', ['-drive', 'file=raw,readonly=on'], REFUSED, None)
        with open('raw', 'r+b') as f:
            f.seek(2 * MIB)
            f.write(b'untouched')
        case('a snapshot', ['-snapshot', '-hda', 'raw'], WRITTEN, None)
        with open('raw', 'rb') as f:
            f.seek(2 * MIB)
            if f.read(9) != b'untouched':
                failed.append('the image under a snapshot was written')
        with open('half.iso', 'wb') as f:
            f.write(bytes(20 * 2048 + 1024))
        case('a CD with half a sector', ['-hda', 'raw', '-cdrom', 'half.iso'], WRITTEN, 'half.iso ends within a sector')
        with open('whole.iso', 'wb') as f:
            f.write(bytes(20 * 2048))
        case('a CD without', ['-hda', 'raw', '-cdrom', 'whole.iso'], WRITTEN, None)
        for size in (512, 513, 1024, 5000, 100 * 1024, 516095, 516096, 700000):
            small_disk('small', size)
            case(f'a disk of {size} bytes', ['-hda', 'small'], WRITTEN, None)
            if os.path.getsize('small') != size:
                failed.append(f'a disk of {size} bytes has another size now')
        os.chmod('raw', 0o444)
        if os.getuid():
            case('a file that may only be read', ['-hda', 'raw'], FILE, 'cannot open raw for writing')
        elif os.access(paisano, os.X_OK) and subprocess.run(['test', '-x', paisano], preexec_fn=lambda: os.setuid(65534),
                                                            check=False).returncode == 0:
            case('a file that may only be read', ['-hda', 'raw'], FILE, 'cannot open raw for writing', user=65534)

        img('create', '-f', 'qcow2', 'a', '10M')
        img('create', '-f', 'qcow2', '-b', 'a', '-F', 'qcow2', 'b')
        img('rebase', '-u', '-b', 'b', '-F', 'qcow2', 'a')
        case('a backing loop', ['-hda', 'b'], FILE, 'own backing file')
        img('create', '-f', 'qcow2', 'cut', '10M')
        for left in (100, 70000):
            os.truncate('cut', left)
            case(f'a qcow2 cut off at {left}', ['-hda', 'cut'], FILE, 'cut')
            img('create', '-f', 'qcow2', 'cut', '10M')
        p = img('convert', '-O', 'raw', '-S', '0', 'thin.qcow2', 'out', limit=MIB)
        if p.returncode != 1 or len(p.stderr.splitlines()) != 1:
            failed.append(f'paisano-img without room: {p.returncode} {p.stderr!r}')
            print('FAILED', failed[-1])
        os.chdir('/')
    print(f'{len(failed)} failed', *failed, sep='\n')
    sys.exit(bool(failed))


main()
