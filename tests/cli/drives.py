#!/usr/bin/env python3
"""Images that are not what they should be: an exit code with one line at the start, or an error that the guest sees with one line.
The guest is a boot sector that writes a sector at 2 MiB through INT 13h and reports by isa-debug-exit how that went.
usage: drives.py PAISANO PAISANO-IMG"""
import os, resource, shutil, signal, subprocess, sys, tempfile

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


# It writes eight bytes of its own into sector `number` of the drive that it was started from, at `offset`, and reports.
def write_mark(path, mark, size, number=1, offset=0):
    mark = mark.ljust(8, b'\0')
    store = b''.join(bytes.fromhex('66c706') + (0x7e00 + offset + i).to_bytes(2, 'little') + mark[i:i + 4] for i in (0, 4))
    code = (bytes.fromhex('31c0 8ed8 8ec0 8ed0 bc007c') + store + bytes.fromhex('b80103 bb007e b9') + bytes([number, 0]) +
            bytes.fromhex('30f6 cd13') + BOOT[-13:])  # mov ax,0x0301; mov bx,0x7e00; mov cx,number; xor dh,dh; int 0x13
    partition = bytes.fromhex('80000200 83000300 01000000 01000000')
    with open(path, 'wb') as f:
        f.write(code.ljust(446, b'\0') + partition.ljust(64, b'\0') + b'\x55\xaa')
        f.truncate(size)


def guessed(case, failed):
    """What was only recognised is guessed: no guest makes another thing of its disk, whatever door that came through."""
    doors = [('FILE', 4 * MIB, lambda f: [f]), ('-hda', 4 * MIB, lambda f: ['-hda', f]),
             ('-drive', 4 * MIB, lambda f: ['-drive', f'file={f}']), ('floppy FILE', 1440 * 1024, lambda f: [f]),
             ('-fda', 1440 * 1024, lambda f: ['-fda', f, '-boot', 'a'])]
    marks = [('qcow2', (b'QFI\xfb\0\0\0\3', 1, 0)), ('VMDK', (b'KDMV', 1, 0)), ('ELF', (b'\x7fELF', 1, 0)),
             ('Linux', (b'HdrS', 2, 2))]
    for door, size, arguments in doors:
        for what, (mark, number, offset) in marks:
            write_mark('guess.img', mark, size, number, offset)
            before = open('guess.img', 'rb').read()
            case(f'{door}: a guest makes it a {what}', arguments('guess.img'), REFUSED, what)
            if open('guess.img', 'rb').read() != before:
                failed.append(f'{door}: the {what} header is in the file')
    for what, (mark, number, offset) in marks:
        write_mark('guess.img', mark, 4 * MIB, number, offset)
        case(f'format=raw: a guest makes it a {what}', ['-drive', 'file=guess.img,format=raw'], WRITTEN, None)


FORMATS = [('VMDK', b'KDMV'), ('VDI', bytes(64) + b'\x7f\x10\xda\xbe'), ('VHDX', b'vhdxfile'), ('VHD', b'conectix'),
           ('QED', b'QED\0'), ('Parallels', b'WithoutFreeSpace'), ('LUKS', b'LUKS\xba\xbe'), ('qcow', b'QFI\xfb\0\0\0\1')]


def known(case, failed, paisano, tool, real):
    """Formats that are known and not supported are refused at every door, unless the user says that they are raw."""
    for what, mark in FORMATS:
        with open('known', 'wb') as f:
            f.write(mark.ljust(MIB, b'\0'))
        for door in (['known'], ['-hda', 'known'], ['-drive', 'file=known'], ['-cdrom', 'known'], ['-fda', 'known']):
            case(f'{door[0]} with {what}', door, FILE, what)
        for command in (['convert', '-O', 'raw', 'known', 'out'], ['info', 'known'], ['resize', 'known', '2M'],
                        ['compare', 'known', 'known'], ['create', '-f', 'qcow2', '-b', 'known', 'out']):
            p = subprocess.run([tool, *command], capture_output=True, text=True, timeout=60, check=False)
            if p.returncode == 0 or what not in p.stderr or len(p.stderr.splitlines()) != 1 or os.path.exists('out'):
                failed.append(f'{command} with {what}: {p.returncode} {p.stderr!r}')
                print('FAILED', failed[-1])
        p = subprocess.run([tool, 'convert', '-f', 'raw', '-O', 'raw', 'known', 'out'], capture_output=True, text=True, timeout=60,
                           check=False)
        if p.returncode or open('out', 'rb').read() != open('known', 'rb').read():
            failed.append(f'convert -f raw with {what}: {p.returncode} {p.stderr!r}')
            print('FAILED', failed[-1])
        os.unlink('out')
    case('-drive format=raw', ['-hda', 'raw', '-drive', 'file=known,format=raw'], WRITTEN, None)
    case('-drive format=vmdk', ['-drive', 'file=known,format=vmdk'], 2, 'qemu-img convert')
    p = subprocess.run([paisano, '-accel', 'interp', '-S', '-m', '64M', '-display', 'none', '-serial', 'none', '-monitor', 'stdio',
                        '-cdrom', 'raw', '-timeout', '60'], input='change ide1-cd0 known\nquit\n', capture_output=True,
                       text=True, timeout=120, check=False)
    if 'this is a qcow image' not in p.stdout:
        failed.append(f'change: {p.stdout!r} {p.stderr!r}')
        print('FAILED', failed[-1])
    if not shutil.which('qemu-img'):
        return
    for form in real:  # what the real programs make
        subprocess.run(['qemu-img', 'create', '-q', '-f', form, 'real', '8M'], check=True)
        case(f'-hda with what qemu-img makes of {form}', ['-hda', 'real'], FILE, 'convert it: qemu-img convert')
        os.unlink('real')


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
        case('no room on the host, raw', ['-drive', 'file=raw,werror=report'], REFUSED, 'raw: the host has no room left', limit=MIB)
        img('convert', '-O', 'qcow2', 'raw', 'thin.qcow2')
        size = os.path.getsize('thin.qcow2')
        case('no room on the host, qcow2', ['-drive', 'file=thin.qcow2,werror=report'], REFUSED,
             'thin.qcow2: the host has no room left', limit=size)
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
        boot_disk('raw')
        guessed(case, failed)
        known(case, failed, paisano, tool, ('vmdk', 'vdi', 'vhdx', 'vpc', 'qed', 'parallels', 'qcow'))
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
