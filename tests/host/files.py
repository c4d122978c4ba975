#!/usr/bin/env python3
"""Files and doors that other users of the host could get at: names that they have planted something under, sockets, ports, and
what a web page in the user's browser can reach.
usage: files.py PAISANO PAISANO-IMG GUEST.elf"""
import os, re, resource, signal, socket, stat, subprocess, sys, tempfile

from run import LIMIT, Run, check, fail, until

STRANGER = 54321
FILE = 4  # the exit code
SECRET = b'this must not be touched\n'


class Place:
    """A folder in which everybody may write, a secret of ours, and names planted in it."""

    def __init__(self, sticky):
        self.tmp = tempfile.TemporaryDirectory(prefix='paisano-files-')
        self.open, self.secret = os.path.join(self.tmp.name, 'open'), os.path.join(self.tmp.name, 'secret')
        os.chmod(self.tmp.name, 0o755)
        os.mkdir(self.open)
        os.chmod(self.open, 0o1777 if sticky else 0o777)
        with open(self.secret, 'wb') as f:
            f.write(SECRET)
        self.name = os.path.join(self.open, 'name')

    def clear(self):
        if os.path.lexists(self.name):
            os.unlink(self.name)

    def untouched(self):
        with open(self.secret, 'rb') as f:
            return f.read() == SECRET


def doors(tools, place):
    """Each way in which a file is written by name: what it is called, whether it succeeded, what it said."""
    paisano, img, elf = tools
    base = [paisano, '-accel', 'interp', '-m', '16M', '-kernel', elf, '-append', 'do=d', '-device', 'isa-debug-exit', '-display',
            'none']
    for options in (['-D', place.name, '-d', 'int'], ['-serial', 'file:' + place.name], ['-debugcon', 'file:' + place.name],
                    ['-pidfile', place.name]):
        p = subprocess.run([*base, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
        yield options[0], p.returncode == 33, p.returncode == FILE, p.stderr
        place.clear_if_ours()
    with Run(tools, 'h', image=None) as run:
        said = run.ask('screendump ' + place.name)
        yield 'screendump', 'everybody' not in said, True, said
    p = subprocess.run([img, 'create', '-f', 'qcow2', place.name, '1M'], capture_output=True, text=True, timeout=LIMIT, check=False)
    yield 'paisano-img create', p.returncode == 0, True, p.stderr


def planted(tools):
    if os.geteuid():
        print('NOTE: only root can plant what belongs to somebody else: that part was not tried')
        return
    def link(place):
        os.symlink(place.secret, place.name)
        os.lchown(place.name, STRANGER, STRANGER)

    def file(place):
        with open(place.name, 'wb') as f:
            f.write(SECRET)
        os.chown(place.name, STRANGER, STRANGER)

    for sticky in (False, True):
        for what, plant in (("somebody else's link", link), ("somebody else's file", file)):
            place = Place(sticky)
            plant(place)
            place.clear_if_ours = lambda: None
            for door, worked, code, said in doors(tools, place):
                check(not worked and code and 'everybody may write' in said, f'{door}, sticky {sticky}: {what}: {said.strip()!r}')
            check(place.untouched(), f'{what}, sticky {sticky}: the secret is untouched')


    images(tools)


def images(tools):
    """An image that is there: no stranger's link leads to it, for reading or writing; a stranger's image is an image."""
    for sticky in (False, True):
        place = Place(sticky)
        for who, ok in ((STRANGER, False), (os.geteuid(), True)):
            place.clear()
            os.symlink(place.secret, place.name)
            os.lchown(place.name, who, who)
            for command in ([tools[1], 'info', '-f', 'raw', place.name], [tools[1], 'resize', '-f', 'raw', place.name, '+0'],
                            [tools[0], '-accel', 'interp', '-m', '16M', '-kernel', tools[2], '-append', 'do=d', '-device',
                             'isa-debug-exit', '-display', 'none', '-drive', f'file={place.name},format=raw']):
                p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
                refused = p.returncode not in (0, 33) and 'everybody may write' in p.stderr
                check(refused != ok, f'{command[0]} {command[1]}, sticky {sticky}, link of {who}: {p.stderr.strip()!r}')
        place.clear()
        with open(place.name, 'wb') as f:
            f.truncate(1 << 20)
        os.chown(place.name, STRANGER, STRANGER)
        p = subprocess.run([tools[1], 'resize', '-f', 'raw', place.name, '2M'], capture_output=True, text=True, check=False)
        check(p.returncode == 0, f"somebody else's image, sticky {sticky}: {p.stderr.strip()!r}")


def backing(tools):
    """The backing file is the image's choice: one from elsewhere is said, a FIFO refused, one beside the image is nobody's news."""
    with tempfile.TemporaryDirectory() as folder:
        secret, inside = os.path.join(folder, 'secret'), os.path.join(folder, 'images')
        os.makedirs(os.path.join(inside, 'below'))
        for name in (secret, os.path.join(inside, 'base'), os.path.join(inside, 'below', 'base')):
            with open(name, 'wb') as f:
                f.truncate(1 << 20)
        os.mkfifo(os.path.join(inside, 'fifo'))
        top = os.path.join(inside, 'top.qcow2')
        for name, said in ((secret, True), ('../secret', True),
                           ('below/../../secret', True), ('base', False), ('below/base', False),
                           (os.path.join(inside, 'base'), False), ('fifo', None), ('/dev/zero', None)):
            subprocess.run([tools[1], 'create', '-q', '-f', 'qcow2', '-u', '-b', name, '-F', 'raw', top, '1M'], check=True)
            for command in ([tools[1], 'convert', '-O', 'raw', top, os.path.join(folder, 'out')],
                            [tools[0], '-accel', 'interp', '-m', '16M', '-kernel', tools[2], '-append', 'do=d', '-device',
                             'isa-debug-exit', '-display', 'none', '-hda', top]):
                p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
                if said is None:
                    check(p.returncode not in (0, 33) and 'no plain file' in p.stderr,
                          f'backing file {name}: {p.stderr.strip()!r}')
                    continue
                note = f'NOTE: {top} reads ' in p.stderr and 'its backing file' in p.stderr
                check(p.returncode in (0, 33) and note == said, f'backing file {name}: {p.stderr.strip()!r}')


def own_links(tools):
    """Links of the user's own are followed wherever they are, as are those to devices and to open files."""
    for sticky in (False, True):
        place = Place(sticky)
        target = os.path.join(place.tmp.name, 'target')
        os.symlink('../target', place.name)
        place.clear_if_ours = lambda: None
        for door, worked, _, said in doors(tools, place):
            check(worked and os.path.exists(target), f"{door}, sticky {sticky}: the user's own link: {said.strip()!r}")
            check(os.path.islink(place.name) or door == '-pidfile', f'{door}: the link stays')
            if not os.path.lexists(place.name):
                os.symlink('../target', place.name)
            os.unlink(target)
    for path in ('/dev/stdout', '/dev/null', '/proc/self/fd/1'):
        with Run(tools, 'h', '-serial', 'file:' + path, serial=False, stdout=subprocess.PIPE) as run:
            if path != '/dev/null':
                check(run.process.stdout.readline() == b'written\n', f'-serial file:{path}')
            else:
                until(lambda: run.counter() == 1, f'-serial file:{path}')


def pidfile(tools):
    with Run(tools, 'h') as run:
        until(lambda: run.counter() == 1, 'it runs')
        with open(run.pidfile) as f:
            check(int(f.read()) == run.process.pid, 'the pidfile has the process id')
        p = subprocess.run([run.paisano, '-kernel', run.elf, '-display', 'none', '-pidfile', run.pidfile], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=LIMIT, check=False)
        check(p.returncode == FILE and 'another process' in p.stderr, f'a second process is refused: {p.stderr.strip()}')
        with open(run.pidfile) as f:
            check(int(f.read()) == run.process.pid, 'and changes nothing')
        run.process.kill()
        run.process.wait()
        with open(run.pidfile, 'w') as f:  # a crash leaves it, unless the sandbox's broker lives to remove it
            f.write('1\n')
        p = subprocess.run([run.paisano, '-accel', 'interp', '-m', '16M', '-kernel', run.elf, '-append', 'do=d', '-device',
                            'isa-debug-exit', '-display', 'none', '-pidfile', run.pidfile], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=LIMIT, check=False)
        check(p.returncode == 33 and not os.path.exists(run.pidfile), 'which is in nobody\'s way')


def sockets(tools):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'socket')

        def refused(words, what):
            for option in ('-serial', '-monitor'):
                p = subprocess.run([tools[0], '-kernel', tools[2], '-display', 'none', option, f'unix:{path},server,nowait'],
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
                check(p.returncode == FILE and words in p.stderr, f'{option} unix: {what}: {p.stderr.strip()}')
        with open(path, 'wb') as f:
            f.write(SECRET)
        refused('no socket', 'a file is in the way')
        check(open(path, 'rb').read() == SECRET, 'and is as it was')
        os.unlink(path)
        os.symlink('/nonexistent', path)
        refused('no socket', 'a link is in the way')
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen(1)
            refused('listens', 'somebody listens there')
            check(os.path.exists(path), 'and his socket is as it was')
        # the socket of before is deserted now
        with Run(tools, 'h', '-serial', f'unix:{path},server,nowait', serial=False, preexec_fn=lambda: os.umask(0)) as run:
            until(lambda: run.counter() == 1, 'it runs')
            for p in (path, run.socket):
                mode = stat.S_IMODE(os.stat(p).st_mode)
                check(mode == 0o600, f'a socket is for its owner only: {mode:o}')
            os.unlink(path)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(path)
                run.process.send_signal(signal.SIGTERM)
                check(run.end() == 0 and os.path.exists(path), "what has taken the socket's name meanwhile stays")


def listening(port):
    """The addresses that somebody listens on at that port, as /proc/net has them."""
    found = []
    for table in ('tcp', 'tcp6'):
        if os.path.exists('/proc/net/' + table):
            with open('/proc/net/' + table) as f:
                found += [w[1].split(':')[0] for w in map(str.split, f) if w[3] == '0A' and w[1].endswith(f':{port:04X}')]
    return found


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


def ports(tools):
    for spec, wanted in (('tcp::{},server,nowait', '0100007F'), ('telnet::{},server,nowait', '0100007F'),
                         ('tcp:0.0.0.0:{},server,nowait', '00000000')):
        port = free_port()
        with Run(tools, 'h', '-serial', spec.format(port), serial=False) as run:
            until(lambda: run.counter() == 1, 'it runs')
            check(listening(port) == [wanted], f'{spec}: listens on {listening(port)}')
            run.process.send_signal(signal.SIGTERM)
            check(run.end() == 0 and ('everyone' in run.said) == (wanted == '00000000'), f'{spec}: says {run.said!r}')


def browser(tools):
    port = free_port()
    for request in (b'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\nquit\r\n',
                    b'POST /' + b'x' * 5000 + b' HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nquit\r\n', b'\x16\x03\x01\x02\0\nquit\n'):
        with Run(tools, 'h', '-monitor', f'tcp::{port},server,nowait', serial=False) as run:
            with socket.socket() as s:
                until(lambda: not s.connect_ex(('127.0.0.1', port)), 'a monitor')
                s.settimeout(LIMIT)
                s.sendall(request)
                got = b''
                while b'no web server' not in got:
                    more = s.recv(65536)
                    if not more:
                        fail(f'the monitor obeys {request[:20]}')
                    got += more
            with socket.socket() as s:
                s.settimeout(LIMIT)
                s.connect(('127.0.0.1', port))
                s.sendall(b'info status\n')
                got = b''
                while b'running' not in got:
                    more = s.recv(65536)
                    if not more:
                        fail(f'the monitor is gone: it obeyed {request[:30]}')
                    got += more
            check(True, f'the monitor does not obey {request[:20]}, and a person next')


def screen(tools):
    """VNC that nobody asked for: this host only, and not without the password, which is another one each time."""
    if 'vnc' not in subprocess.run([tools[0], '-display', 'help'], capture_output=True, text=True, check=False).stdout:
        print('NOTE: this build has no VNC')
        return
    passwords = set()
    env = {k: v for k, v in os.environ.items() if k not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    for _ in range(2):
        command = [tools[0], '-accel', 'interp', '-m', '16M', '-kernel', tools[2], '-append', 'do=h', '-timeout', '600']
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env=env) as p:
            said = ''
            while 'password is' not in said:
                line = p.stderr.readline()
                if not line:
                    fail(f'no password: {said!r}')
                said += line
            port = 5900 + int(re.search(r'VNC display 127\.0\.0\.1:(\d+)', said)[1])
            passwords.add(re.search(r'password is (\w{8})', said)[1])
            check(listening(port) == ['0100007F'], f'VNC without a display: listens on {listening(port)}')
            with socket.create_connection(('127.0.0.1', port), LIMIT) as s:
                version = s.recv(12)
                s.sendall(version)
                types = s.recv(16)
                check(types == b'\1\2', f'and asks for the password: {types}')
            p.terminate()
    check(len(passwords) == 2, 'the password is another one each time')
    for words, types in (('password=on', 2), ('password=off', 1), ('password=offon', 2)):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'vnc')
            with Run(tools, 'h', '-display', f'vnc=unix:{path},{words}') as run:
                until(lambda: run.counter() == 1, 'it runs')
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(LIMIT)
                    until(lambda: not s.connect_ex(path), 'VNC answers')
                    s.sendall(s.recv(12))
                    check(s.recv(16) == bytes([1, types]), f'VNC, {words}')
                run.process.send_signal(signal.SIGTERM)
                run.end()
                found = re.search(r'password is (\w{8})\n', run.said)
                check(bool(found) == (words == 'password=on'), f'{words}: {run.said!r}')


def private(tools):
    """UEFI's variables, and the map for perf."""
    if os.path.exists('/usr/share/OVMF/OVMF_CODE_4M.fd'):
        with tempfile.TemporaryDirectory() as folder:
            disk = os.path.join(folder, 'disk')
            with open(disk, 'wb') as f:
                f.truncate(1 << 20)
            p = subprocess.run([tools[0], '-accel', 'interp', '-bios', 'uefi', '-drive', f'file={disk},format=raw', '-S',
                                '-display', 'none', '-monitor', 'stdio'], input=b'quit\n', stdout=subprocess.DEVNULL, timeout=LIMIT,
                               preexec_fn=lambda: os.umask(0), check=False)
            mode = stat.S_IMODE(os.stat(disk + '.uefi-vars').st_mode)
            check(p.returncode == 0 and mode == 0o600, f"UEFI's variables are for their owner only: {mode:o}")
    else:
        print('NOTE: no OVMF here')
    if 'perfmap' in subprocess.run([tools[0], '-jit', 'help'], capture_output=True, text=True, check=False).stdout:
        with Run(tools, 'j', '-accel', 'jit', '-jit', 'perfmap=on', preexec_fn=lambda: os.umask(0)) as run:
            name = f'/tmp/perf-{run.process.pid}.map'
            until(lambda: os.path.exists(name), 'a map for perf')
            mode = stat.S_IMODE(os.stat(name).st_mode)
            check(mode == 0o600, f'the map for perf is for its owner only: {mode:o}')
        os.unlink(name)


def precious(tools):
    """Output files that are disks: named by mistake, they are not overwritten, nor removed as a pidfile."""
    paisano, img, elf = tools
    with tempfile.TemporaryDirectory(prefix='paisano-files-') as folder:
        disk = os.path.join(folder, 'disk')
        for kind, options in (('qcow2', ['-f', 'qcow2', disk, '4M']), ('raw', None)):
            if options:
                subprocess.run([img, 'create', '-q', *options], check=True)
            else:
                with open(disk, 'wb') as f:
                    f.write(bytes(range(256)) * 4096)
            with open(disk, 'rb') as f:
                before = f.read()
            base = [paisano, '-accel', 'interp', '-m', '16M', '-kernel', elf, '-append', 'do=d', '-device', 'isa-debug-exit',
                    '-display', 'none']
            for what in (['-serial', 'file:' + disk], ['-D', disk, '-d', 'int'], ['-pidfile', disk]):
                if kind == 'raw' and what[0] != '-pidfile':
                    continue # nothing tells what it is, until somebody has it open
                p = subprocess.run([*base, *what], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                                   check=False)
                with open(disk, 'rb') as f:
                    check(p.returncode == FILE and f.read() == before, f'{what[0]} on a {kind} disk: {p.stderr.strip()}')
            with Run(tools, 'h', '-drive', f'file={disk},format={kind},if=ide,index=1', image=None) as run:
                said = run.ask('screendump ' + disk)
                p = subprocess.run([*base, '-serial', 'file:' + disk], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                   timeout=LIMIT, check=False)
                with open(disk, 'rb') as f:
                    check('not overwritten' in said and p.returncode == FILE and f.read(4096) == before[:4096],
                          f'{kind} disk in use: {said}; {p.stderr.strip()}')
        picture = os.path.join(folder, 'picture.ppm')
        with Run(tools, 'h', image=None) as run:
            for _ in range(3): # what was written before is no disk
                said = run.ask('screendump ' + picture)
                check(said.count('\n') <= 2 and os.path.getsize(picture) > 1000, f'a picture over a picture: {said!r}')
        for port in ('0', '65536', '22222222', '', '-1'):
            p = subprocess.run([*base, '-serial', f'tcp:127.0.0.1:{port},server,nowait'], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=LIMIT, check=False)
            check(p.returncode == 2, f'port {port!r}: {p.stderr.strip()}')


def closed(tools):
    """The caller has closed descriptors that everybody has, or allows few: what is opened next is not taken for the terminal."""
    for which in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        for options in ((), ('-sandbox', 'off')):
            with Run(tools, 'h', '-serial', 'stdio', *options, image=None, serial=False,
                     preexec_fn=lambda which=which: [os.close(fd) for fd in which]) as run:
                said = run.ask('info status')
                leads = {fd: os.readlink(f'/proc/{run.process.pid}/fd/{fd}') for fd in which}
                run.process.send_signal(signal.SIGTERM)
                check('running' in said and set(leads.values()) == {'/dev/null'} and run.end() == 0,
                      f'without descriptors {which} {options}: {leads}')
    for limit in (24, 32, 48, 64):
        with Run(tools, 'h', image=None,
                 preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))) as run:
            try:
                said = run.ask('info status')
            except OSError: # too few for this build
                said = ''
            run.process.send_signal(signal.SIGTERM)
            code = run.end()
            check('running' in said and code == 0 or limit < 48 and code and run.said,
                  f'with {limit} files at most: {code} {run.said}')


def main():
    tools = sys.argv[1:]
    for part in (planted, backing, own_links, pidfile, sockets, ports, browser, screen, private, precious, closed):
        part(tools)


main()
