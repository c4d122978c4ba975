"""A run of guest.S with a disk of its own, and what is left of it. Every wait gives up after LIMIT seconds, which no sane host
needs."""
import os, signal, socket, subprocess, sys, tempfile, time

LIMIT = 300
BLOCK, BLOCKS = 65536, 640


def fail(text):
    print('FAILED:', text)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)
    print('ok:', text)


def until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            fail(f'never: {what}')
        time.sleep(0.02)


def block(n):
    return (n + 1).to_bytes(4, 'little') * (BLOCK // 4)


class Run:
    """paisano with `options`, its monitor and a pidfile in a folder of its own. The guest does `do`; image: the format of its
    disk, or None. Popen's arguments may be given, such as preexec_fn."""

    def __init__(self, tools, do, *options, image='qcow2', drive='', serial=True, **popen):
        self.paisano, self.img, self.elf = tools
        self.folder = tempfile.TemporaryDirectory(prefix='paisano-host-')
        self.disk, self.serial, self.pidfile, self.socket = (self.path(n) for n in ('disk', 'serial', 'pid', 'monitor'))
        command = [self.paisano, '-accel', 'interp', '-m', '16M', '-kernel', self.elf, '-append', 'do=' + do, '-pidfile',
                   self.pidfile, '-monitor', f'unix:{self.socket},server,nowait', *options]
        if image:
            subprocess.run([self.img, 'create', '-q', '-f', image, self.disk, '64M'], check=True, stdout=subprocess.DEVNULL)
            command += ['-drive', f'file={self.disk},format={image}{drive}']
        if serial:
            command += ['-serial', 'file:' + self.serial]
        if '-nographic' not in options and '-display' not in options:
            command += ['-display', 'none']
        self.format = image
        popen = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.PIPE, **popen}
        self.process = subprocess.Popen(command, **popen)
        self.said = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def printed(self):
        try:
            with open(self.serial, errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def until_printed(self, word):
        until(lambda: word in self.printed() or self.process.poll() is not None, f'the guest prints {word}')
        if word not in self.printed():
            fail(f'the run ended before the guest printed {word}: {self.process.returncode}, {self.process.stderr.read()}')

    def ask(self, command, wait=True):
        """Give a command to the monitor, each in a connection of its own; wait: for its answer, which is returned."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LIMIT)
            until(lambda: self.process.poll() is not None or not s.connect_ex(self.socket), 'a monitor')
            s.sendall(command.encode() + b'\n')
            got = b''
            while wait and got.count(b'(paisano) ') < 2:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        return got.decode(errors='replace')

    def counter(self):
        """The guest's counter, by the monitor."""
        return int(self.ask('xp /1wx 0x300000').split(':')[-1].split()[0], 16)

    def end(self):
        """Wait for the end: its code. What it said on stderr is kept."""
        try:
            _, self.said = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            fail('it does not end')
        self.said = (self.said or b'').decode(errors='replace')
        return self.process.returncode

    def contents(self):
        """The blocks of the guest's disk as they are in the image, which has to be sound."""
        found = subprocess.run([self.img, 'check', '-f', self.format, self.disk], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT) if self.format == 'qcow2' else None
        if found and found.returncode:
            fail(f'the image: {found.stdout.decode()}')
        raw = self.disk
        if self.format != 'raw':
            raw = self.path('raw')
            subprocess.run([self.img, 'convert', '-f', self.format, '-O', 'raw', self.disk, raw], check=True)
        with open(raw, 'rb') as f:
            return [f.read(BLOCK) for _ in range(BLOCKS)]

    def kept(self):
        """How many blocks have what the guest wrote."""
        return sum(data == block(n) for n, data in enumerate(self.contents()))
