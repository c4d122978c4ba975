#!/usr/bin/env python3
"""Runs the hostile program: the machine has to go on, whatever its guest does.

usage: survive.py PAISANO ALL.elf MINUTES SEED [OPTION...]     (0 minutes: until every scenario was survived once)

Signs of life come on the serial port, one behind each scenario; the monitor has to answer, the screen to be drawn. A guest may
well have made itself unable to go on: after minutes without a sign the reset button is pressed, and it has to begin anew. The
emulator may not end before it is told to, and then with 0."""
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time

SCENARIOS = ('code64', 'code32', 'code16', 'walks', 'descriptors', 'images', 'ide', 'floppy', 'fw_cfg', 'bars', 'screen', 'apic',
             'ioapic', 'timers', 'keyboard', 'power', 'ports')
STILL = 60  # seconds without a sign of life, then the button
PATIENCE = 300  # seconds for an answer of the monitor; and buttons in a row that do not help: 3


class Machine:
    def __init__(self, paisano, elf, seed, rounds, folder, options):
        self.folder = folder
        path = os.path.join(folder, 'monitor')
        disks = []
        for name, size in (('disk', 8 << 20), ('cd', 4 << 20), ('floppy', 1440 << 10)):
            disks.append(os.path.join(folder, name))
            with open(disks[-1], 'wb') as file:
                file.write(b'\x5a' * size)
        self.process = subprocess.Popen(
            [paisano, '-m', '64M', '-smp', '2', '-display', 'none', '-serial', 'stdio',
             '-monitor', f'unix:{path},server,nowait',
             '-drive', f'file={disks[0]},format=raw',
             '-drive', f'file={disks[1]},media=cdrom,format=raw',
             '-drive', f'file={disks[2]},if=floppy,format=raw', '-kernel', elf,
             '-append', f'seed={seed} rounds={rounds}', *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(os.path.join(folder, 'errors'), 'wb'))
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text, self.seen = b'', 0
        self.monitor = self.connect(path)
        self.wait_monitor()

    def connect(self, path):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(path)
                link.settimeout(PATIENCE)
                return link
            except OSError:
                link.close()
                time.sleep(0.1)
        self.give_up('no monitor')

    def wait_monitor(self):
        words = b''
        try:
            while not words.endswith(b'(paisano) '):
                more = self.monitor.recv(4096)
                if not more:
                    self.give_up('the monitor hung up')
                words += more
        except socket.timeout:
            self.give_up('the monitor does not answer')
        except OSError as error:
            self.give_up(f'the monitor hung up: {error}')
        return words

    def ask(self, line):
        try:
            self.monitor.sendall(line.encode() + b'\n')
        except OSError as error:
            self.give_up(f'the monitor hung up: {error}')
        return self.wait_monitor()

    def signs(self, seconds):
        """Names of the scenarios that were survived meanwhile; empty: none within so many seconds."""
        selector = selectors.DefaultSelector()
        selector.register(self.process.stdout, selectors.EVENT_READ)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if selector.select(max(0, end - time.monotonic())):
                more = self.process.stdout.read()
                if not more:
                    self.give_up('the emulator ended')
                self.text += more
            found = re.findall(rb'alive \d+ (\w+) traps \d+ \d+\r?\n', self.text)
            if found:
                self.text = self.text[self.text.rindex(b'\n') + 1:]
                return [name.decode() for name in found]
        return []

    def quit(self):
        self.monitor.sendall(b'quit\n')
        code = self.process.wait(PATIENCE)
        if code:
            self.give_up(f'exit code {code} after quit')

    def give_up(self, why):
        try:
            code = self.process.wait(2)  # it may be about to end
        except subprocess.TimeoutExpired:
            code = None
        with open(os.path.join(self.folder, 'errors'), 'rb') as file:
            print(file.read().decode(errors='replace')[-4000:])
        print(f'FAILED: {why}; exit code {code}', flush=True)
        if code is None:
            self.process.kill()
        self.process.wait()
        sys.exit(1)


def main():
    paisano, elf, minutes, seed, *options = sys.argv[1:]
    end = time.monotonic() + float(minutes) * 60
    count, buttons, in_a_row = dict.fromkeys(SCENARIOS, 0), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(paisano, elf, seed, 2 if float(minutes) == 0 else 20, folder, options)
        while time.monotonic() < end or (float(minutes) == 0 and not all(count.values())):
            names = machine.signs(STILL)
            for name in names:
                count[name] = count.get(name, 0) + 1
            in_a_row = 0 if names else in_a_row + 1
            if in_a_row > 3:
                machine.give_up('no sign of life, and resets do not help')
            if not names:
                buttons += 1
                print(machine.ask('info cpus').decode(), machine.ask('info registers').decode(), flush=True)
                machine.ask('system_reset')
            if b'running' not in machine.ask('info status'):
                machine.give_up('the machine does not run')
            machine.ask(f'screendump {folder}/screen.ppm')
            machine.ask('info irq')
        machine.quit()
    print(' '.join(f'{name} {n}' for name, n in count.items()), f'; reset {buttons} times from outside')
    missing = [name for name in SCENARIOS if not count[name]]
    if missing:
        print('FAILED: never survived:', *missing)
        sys.exit(1)


main()
