#!/usr/bin/env python3
"""Bad input: each case must end with its exit code and exactly one line on stderr that holds the given words.
usage: cli.py PAISANO KERNEL INITRD"""
import os, re, subprocess, sys, tempfile

USAGE, FILE, ACCEL, TIMEOUT = 2, 4, 6, 10


def run(paisano, arguments):
    return subprocess.run([paisano, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def main():
    paisano, kernel, initrd = sys.argv[1:]
    tmp = tempfile.mkdtemp()

    def write(name, data):
        path = os.path.join(tmp, name)
        with open(path, 'wb') as f:
            f.write(data)
        return path

    whole = open(kernel, 'rb').read()
    cut = write('cut', whole[:len(whole) // 2])
    stub = write('stub', whole[:700])
    noise = write('noise', bytes(range(256)) * 64)
    empty = write('empty', b'')
    huge = ['-m', '64M', '-kernel', kernel, '-initrd', kernel]
    good = ['-kernel', kernel, '-initrd', initrd]
    cases = [
        ([], USAGE, 'nothing to boot'),
        (['-kernel', tmp + '/none'], FILE, 'none'),
        (['-kernel', tmp], FILE, 'regular file'),
        (['-kernel', cut], FILE, 'truncated'),
        (['-kernel', stub], FILE, 'truncated'),
        (['-kernel', noise], FILE, 'not a Linux'),
        (['-kernel', empty], FILE, 'not a Linux'),
        (['-kernel', kernel, '-initrd', tmp + '/none'], FILE, 'none'),
        (['-kernel', kernel, '-initrd', empty], FILE, 'empty'),
        (huge[:2] + ['-m', '16M'] + huge[2:], FILE, '-m'),
        (['-initrd', initrd], USAGE, '-kernel'),
        (['-m', '0'] + good, USAGE, '-m'),
        (['-m', '999999999999T'] + good, USAGE, '-m'),
        (['-m', 'lots'] + good, USAGE, '-m'),
        (['-m', '-5'] + good, USAGE, '-m'),
        (['-smp', '0'] + good, USAGE, '-smp'),
        (['-smp', '100000'] + good, USAGE, '-smp'),
        (['-cpu', 'nonesuch'] + good, USAGE, "paisano: -cpu: no model 'nonesuch'"),
        (['-rtc', 'clock=banana'] + good, USAGE, '-rtc clock=banana: vm, host or rt'),
        (['-sandbox', 'foo'] + good, USAGE, '-sandbox foo: on, off or auto'),
        (['-cpu', 'max,+nonesuch'] + good, USAGE, 'nonesuch'),
        (['-cpu', 'max,flavour=mips'] + good, USAGE, 'flavour'),
        (['-accel', 'warp'] + good, USAGE, 'warp'),
        (['-accel', f'kvm,fallback=off,device={tmp}/none'] + good, ACCEL, 'none'),
        (['-accel', 'kvm,falback=off'] + good, USAGE, 'fallback'),
        (['-kernal', kernel], USAGE, 'did you mean -kernel'),
        (['-kernel'], USAGE, 'needs a value'),
        (['-hda', tmp + '/none'], FILE, 'none'),
        (['-cdrom', tmp], FILE, tmp),
        (['-hdc', noise, '-cdrom', noise] + good, USAGE, 'taken'),
        (['-drive', f'file={noise},if=ide,index=4'] + good, USAGE, '0 to 3'),
        (['-drive', f'file={noise},if=scsi'] + good, USAGE, 'if=scsi'),
        (['-drive', f'file={noise},media=tape'] + good, USAGE, 'media=tape'),
        (['-drive', f'file={noise},indx=1'] + good, USAGE, 'index'),
        (['-drive', 'if=ide'] + good, USAGE, 'file='),
        (['-drive', f'file={noise},id=a', '-drive', f'file={noise},id=a'] + good, USAGE, 'id=a'),
        (['-drive', f'file={noise},format=vhdx'] + good, USAGE, 'vhdx'),
        (['-drive', f'file={noise},cache=maybe'] + good, USAGE, 'writethrough'),
        (['-drive', f'file={noise},cache=none,aio=fast'] + good, USAGE, 'native'),
        (['-drive', f'file={noise},cache=none,aio=native,discard=perhaps'] + good, USAGE, 'unmap'),
        (['-drive', f'file={tmp}/no,,ne'] + good, FILE, 'no,ne'),
        (['-device', 'isa-debug-exti'] + good, USAGE, 'isa-debug-exit'),
        (['-device', 'isa-debug-exit,iobaes=1'] + good, USAGE, 'iobase'),
        (['-serial', 'nonsense'] + good, USAGE, 'nonsense'),
        (['-serial', f'file:{tmp}/no/such'] + good, FILE, 'no/such'),
        (['-D', f'{tmp}/no/such', '-d', 'int'] + good, FILE, 'no/such'),
        (['-d', 'everything'] + good, USAGE, 'everything'),
        (['-trace', 'nosuch.*'] + good, USAGE, 'nosuch'),
        (['-rtc', 'base=yesterday'] + good, USAGE, 'yesterday'),
        (['-icount', 'shift=99'] + good, USAGE, 'shift'),
        (['-timeout', 'soon'] + good, USAGE, 'soon'),
        (['-append', 'x' * 70000] + good, USAGE, '-append'),
        (['-machine', 'q35'] + good, USAGE, 'q35'),
        (['-pidfile', f'{tmp}/no/such'] + good, FILE, 'no/such'),
        (['-bios', 'nonesuch.bin'], FILE, 'nonesuch.bin'),
        (['-bios', empty], FILE, 'firmware'),
        (['-pflash', empty], FILE, 'firmware'),
        (['-pflash', stub], FILE, '4 KiB'),
        (['-pflash', tmp + '/none'], FILE, 'none'),
        (['-pflash', noise, '-pflash', noise], FILE, 'in use'),
        (['-pflash', noise, '-pflash', noise, '-pflash', noise], USAGE, '2 chips'),
        (['-bios', 'uefi', '-pflash', noise, '-pflash', noise], USAGE, 'variables'),
        (['-fw_cfg', 'opt/x'] + good, USAGE, 'file='),
        (['-fw_cfg', 'string=x'] + good, USAGE, 'name'),
        (['-fw_cfg', 'name=opt/x,string=y,file=z'] + good, USAGE, 'one of'),
        (['-fw_cfg', f'opt/x,file={tmp}/none'] + good, FILE, 'none'),
        (['-fw_cfg', 'opt/' + 'x' * 60 + ',string=y'] + good, USAGE, '-fw_cfg'),
        (['-accel', 'interp', '-timeout', '0.5', '-S', '-display', 'none'] + good, TIMEOUT, 'time is up'),
        ([noise], FILE, 'not a Linux'),
        ([kernel, noise], USAGE, 'second file'),
    ]
    flavour = run(paisano, good + ['-print-config']).stdout.decode().split('flavour')[1].split()[0]
    other = {'amd': 'intel', 'intel': 'amd'}[flavour]
    cases.append((['-cpu', f'max,flavour={other}', '-accel', 'jit'] + good, ACCEL, f'flavour={other}'))
    failed = 0
    for arguments, code, words in cases:
        p = run(paisano, arguments)
        lines = p.stderr.decode(errors='replace').splitlines()
        twice = re.search(r'(\S+:) \1 ', p.stderr.decode(errors='replace'))
        if p.returncode != code or len(lines) != 1 or words not in lines[0] or len(lines[0]) > 600 or twice:
            failed += 1
            print(f'FAILED {arguments[:6]}: exit {p.returncode} (not {code}), stderr {lines[:4]} (one line with {words!r})')
    lists = ((['-help'], 'exit codes'), (['--version'], 'paisano'), (['-device', 'help'], 'isa-debug-exit'),
             (['-cpu', 'help'], 'max'), (['-sandbox', 'help'], 'off'),
             (['-trace', 'help'], '.'), (good + ['-print-config', '-m', '2G'], '2097152 KiB'),
             (good + ['-print-config', '-cpu', f'max,flavour={other}'], 'accel    interp'))
    for arguments, words in lists:
        p = run(paisano, arguments)
        if p.returncode or p.stderr or words not in p.stdout.decode():
            failed += 1
            print(f'FAILED {arguments}: exit {p.returncode}, {p.stderr[:200]}, no {words!r}')
    print(f'{len(cases)} bad command lines, {failed} failed')
    sys.exit(failed != 0)


main()
