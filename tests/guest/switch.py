#!/usr/bin/env python3
"""Boots a Debian kernel under Paisano and has it compute checksums, while the engine changes at random moments all the time.
usage: switch.py PAISANO KERNEL INITRD SWITCHES [OPTION...]
SWITCHES: how often at least. PAISANO_SEED in the environment repeats the moments of a run, as far as the host does."""
import hashlib, os, random, socket, sys, tempfile, threading, time

from guest import LIMIT, Console, check, fail

ENGINES = os.environ.get('PAISANO_ENGINES', 'interp jit').split()


class Monitor:
    """A user of the monitor, on its socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        end = time.monotonic() + LIMIT
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.answer()

    def answer(self):
        text = ''
        while not text.endswith('(paisano) '):
            data = self.socket.recv(4096)
            if not data:
                raise RuntimeError('the monitor closed')
            text += data.decode()
        return text

    def ask(self, line):
        self.socket.sendall(line.encode() + b'\n')
        return self.answer()


class Switcher(threading.Thread):
    """One who cannot make up his mind."""

    def __init__(self, path, seed):
        super().__init__(daemon=True)
        self.monitor = Monitor(path)
        self.random = random.Random(seed)
        self.count, self.ended, self.error = 0, False, None

    def run(self):
        try:
            now = self.monitor.ask('info engine').split('engine     ')[1].split()[0]
            while not self.ended:
                # mostly soon after the last one, sometimes in a row, sometimes after a while
                time.sleep(self.random.choice((0, 0.001, 0.01, 0.03, 0.1)) * self.random.random())
                to = self.random.choice([e for e in ENGINES if e != now])
                text = self.monitor.ask(f'engine {to}')
                if f'-> {to}' not in text:
                    raise RuntimeError(f'engine {to}: {text}')
                self.count += 1
                now = to
        except Exception as e:
            self.error = e


def expected(lines):
    """What the guest's command must print."""
    data = ''.join(f'{i}\n' for i in range(1, lines + 1)).encode()
    total = 0.0
    for i in range(1, lines + 1):
        total += 1.0 / i
    return [hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), hashlib.sha1(data).hexdigest(), f'{total:.12f}',
            hashlib.md5(data).hexdigest()]


def command(tag, lines):
    return (f'seq 1 {lines} > /tmp/s{tag}; (sha256sum < /tmp/s{tag}; md5sum < /tmp/s{tag}; sha1sum < /tmp/s{tag}; '
            f'awk "{{s += 1 / \\$1}} END {{printf \\"%.12f -\\\\n\\", s}}" /tmp/s{tag}; '
            f'gzip -c /tmp/s{tag} | gunzip -c | md5sum) > /tmp/r{tag}')


def main():
    paisano, kernel, initrd, switches, *options = sys.argv[1:]
    cpus = int(options[options.index('-smp') + 1]) if '-smp' in options else 1
    seed = int(os.environ.get('PAISANO_SEED', random.randrange(1 << 32)))
    print('seed', seed)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'monitor')
        console = Console([paisano, '-m', '512M', '-nographic', '-kernel', kernel, '-initrd', initrd, '-append',
                           'console=ttyS0', '-monitor', f'unix:{path},server,nowait', *options])
        switcher = Switcher(path, seed)
        switcher.start()
        console.expect('GUEST-READY')
        console.expect('guest:.*# ')
        print(f'ok: reached the shell after {switcher.count} switches')
        chooser, rounds = random.Random(seed), 0
        while (switcher.count < int(switches) or rounds < 2) and not switcher.error:
            sizes = [chooser.randrange(1000, 20000) for _ in range(cpus)]
            line = ' & '.join(f'({command(i, n)})' for i, n in enumerate(sizes))
            console.type(line + ' & wait; cat ' + ' '.join(f'/tmp/r{i}' for i in range(cpus)) + '; echo ro""und')
            got = console.expect('(?s)(.*?)\nround\n')[1]
            found = [text.split()[0] for text in got.split('\n') if text.endswith('-')]
            want = [value for n in sizes for value in expected(n)]
            if found != want:
                fail(f'round {rounds}: {found}\nand not {want}\n{got}')
            rounds += 1
        if switcher.error:
            fail(f'the monitor: {switcher.error}')
        check(True, f'{rounds} rounds of checksums are right')
        switcher.ended = True
        switcher.join()
        if switcher.error:
            fail(f'the monitor: {switcher.error}')
        info = switcher.monitor.ask('info engine')
        check(f'switches   {switcher.count}\r' in info, f'the emulator counts {switcher.count} switches as well')
        words = 'oops|call trace|unexpected|lockup|stall|unstable|tsc: marking|warning:|bug:'
        log = console.run(f'dmesg > /tmp/log; grep -iE "{words}" /tmp/log; grep -ciE "{words}" /tmp/log; echo gr""ep',
                          r'(?s)(.*?)(\d+)\ngrep')
        check(log[2] == '0', f'dmesg is clean {log[1].strip()[-300:] if log[2] != "0" else ""}')
        console.type('poweroff')
        code = console.process.wait(LIMIT)
        check(code == 0, f'poweroff ends with exit code {code}')


if __name__ == '__main__':
    main()
