#!/usr/bin/env python3
"""Linux's own ATA driver on disk images: boots a Debian kernel with its driver modules, writes a disk and reads it back,
changes and mounts CDs; then looks at the images.
usage: disk.py PAISANO KERNEL INITRD MODULES [OPTION...]"""
import hashlib, os, subprocess, sys, tempfile

from guest import LIMIT, Console, check

MIB = 1 << 20


def make_iso(path, name, tmp):
    folder = os.path.join(tmp, name)
    os.makedirs(folder)
    with open(os.path.join(folder, 'big'), 'wb') as f:
        f.write(hashlib.sha512(name.encode()).digest() * (4 * MIB // 64))
    with open(os.path.join(folder, 'hello.txt'), 'w') as f:
        f.write(f'this is {name}\n')
    subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-R', '-V', name, '-o', path, folder], check=True,
                   stderr=subprocess.DEVNULL)
    return hashlib.md5(open(os.path.join(folder, 'big'), 'rb').read()).hexdigest()


def md5(path, offset, size):
    with open(path, 'rb') as f:
        f.seek(offset)
        return hashlib.md5(f.read(size)).hexdigest()


def main():
    paisano, kernel, initrd, modules, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='paisano-disk-') as tmp:
        first, second, disc, both = (os.path.join(tmp, name) for name in ('a.img', 'b,1.img', 'cd.iso', 'initrd.gz'))
        with open(first, 'wb') as f:
            f.write(os.urandom(8 * MIB))
            f.truncate(64 * MIB)
        with open(second, 'wb') as f:
            f.write(b'PAISANO!' * (MIB // 8))
            f.truncate(16 * MIB)
        big = make_iso(disc, 'PAISANO', tmp)
        with open(both, 'wb') as f:
            for part in (initrd, modules):
                f.write(open(part, 'rb').read())
        before = md5(first, 0, 8 * MIB)

        console = Console([paisano, '-m', '256M', '-nographic', '-kernel', kernel, '-initrd', both, '-append', 'console=ttyS0',
                           '-hda', first, '-drive', 'if=ide,index=1,readonly=on,format=raw,file=' + second.replace(',', ',,'),
                           '-cdrom', disc, *options])
        console.expect('GUEST-READY')
        console.expect('guest:.*# ')
        console.run('cd /modules; for m in $(cat order); do insmod $m || echo no $m; done; cd; sleep 1; echo load""ed',
                    r'\nloaded\n')
        log = console.run('dmesg | grep -E "ata[0-9]|sd |sr |scsi"; echo e""nd', r'(?s)(.*)\nend\n')[1]
        check('PAISANO HARDDISK' in log and 'PAISANO DVD-ROM' in log, 'the driver finds the drives')
        check('failed' not in log and 'exception' not in log, 'without trouble')
        console.run('grep -c XFER_MW_DMA_2 /sys/class/ata_device/dev*/xfer_mode | grep -c :1; echo mo""des', r'\n3\nmodes')
        check(True, 'and sets them to DMA')

        # sda is whichever disk Linux's parallel probing finished first
        console.run('A=/dev/$(ls /sys/bus/scsi/devices/0:0:0:0/block) B=/dev/$(ls /sys/bus/scsi/devices/0:0:1:0/block); '
                    'echo $A $B', r'\n/dev/sd[ab] /dev/sd[ab]')
        console.run('dd if=$A bs=1M count=8 2>/dev/null | md5sum', before)
        check(True, 'eight megabytes of noise read right')
        console.run('dd if=$B bs=4k count=1 2>/dev/null | head -c 16; echo; echo se""cond', r'PAISANO!PAISANO!\nsecond')
        check(True, 'the second disk is read')
        console.run('dd if=$A of=$A bs=1M seek=20 count=8 conv=notrunc 2>/dev/null; sync; echo 3 > '
                    '/proc/sys/vm/drop_caches; dd if=$A bs=1M skip=20 count=8 2>/dev/null | md5sum', before)
        check(True, 'what is written is read back')
        console.run('mke2fs -q $A 2>&1; mkdir -p /mnt; mount -t ext4 $A /mnt && cp /bin/busybox /mnt && sync && '
                    'umount /mnt; mount $A /mnt && cmp /bin/busybox /mnt/busybox && umount /mnt && echo s""ame', r'\nsame\n')
        check(True, 'a file system is made, used and mounted again')

        console.run('mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd; cat /cd/hello.txt', r'\nthis is PAISANO\n')
        console.run('md5sum < /cd/big', big)
        check(True, 'a CD is mounted and read')
        words = 'exception|failed command|error|frozen|reset'
        count = console.run(f'dmesg | grep -E "ata[0-9]|sd |sr |I/O" | grep -ciE "{words}"; echo gr""ep', r'(\d+)\ngrep')[1]
        check(count == '0', 'the driver has no complaint')
        console.run('cd /proc/sys/dev/cdrom; echo 0 > autoclose; echo 1 > autoeject; umount /cd; sleep 1; '
                    'dd if=/dev/sr0 bs=2k count=1 2>&1 | tail -n 1', 'No medium found')
        # the first reader of a changed disc is told so
        console.run('echo 1 > autoclose; echo 0 > autoeject; cd; M="mount -t iso9660 -o ro /dev/sr0 /cd"; '
                    '$M 2>/dev/null || $M; cat /cd/hello.txt', r'\nthis is PAISANO\n')
        check(True, 'the tray opens and closes')
        console.type('sync; poweroff')
        check(console.process.wait(LIMIT) == 0, 'power off')
        check(md5(first, 0, 8 * MIB) != before, 'the image has changed')
        subprocess.run(['/sbin/e2fsck', '-fn', first], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        check(True, "the host's e2fsck finds the file system clean")


main()
