#!/usr/bin/env python3
"""However a run ends in order, what the guest has written is in its image, and nothing is left lying about: 40 MB written to new
clusters of a qcow2 image and never flushed, then each of the ways.
usage: ends.py PAISANO PAISANO-IMG GUEST.elf"""
import fcntl, os, pty, signal, subprocess, sys, tempfile, termios

from run import BLOCKS, Run, block, check, fail, until


def left_in_order(run, how, code, words):
    got = run.end()
    lines = run.said.splitlines()
    check(got == code, f'{how}: exit code {got}')
    check(len(lines) == len(words) and all(word in line for word, line in zip(words, lines)), f'{how}: says {lines}')
    kept = run.kept()
    check(kept == BLOCKS, f'{how}: {kept} of {BLOCKS} blocks are in the image, which is sound')
    check(not os.path.exists(run.pidfile), f'{how}: the pidfile is gone')
    check(not os.path.exists(run.socket), f'{how}: the socket is gone')


def by_signal(tools):
    for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        for do in 'hj':
            with Run(tools, do) as run:
                run.until_printed('written')
                run.process.send_signal(which)
                left_in_order(run, which.name + (' in a busy guest' if do == 'j' else ''), 0,
                              [f'{which.name} from process {os.getpid()}'])
    with Run(tools, 'h') as run:
        run.until_printed('written')
        run.process.send_signal(signal.SIGTERM)
        for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT) * 50:
            run.process.send_signal(which)
        left_in_order(run, 'a signal and two hundred more', 0, [f'from process {os.getpid()}'])
    with Run(tools, 'h', preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as run:
        run.until_printed('written')
        run.process.send_signal(signal.SIGHUP)
        check('running' in run.ask('info status'), 'SIGHUP under nohup: nothing happens')
        run.process.send_signal(signal.SIGTERM)
        left_in_order(run, 'SIGTERM under nohup', 0, ['SIGTERM'])


def by_itself(tools):
    debug_exit = ('-device', 'isa-debug-exit,iobase=0x501')
    for how, do, options, code, words in (
            ('power off', 's', (), 0, []), ('reset under -no-reboot', 'r', ('-no-reboot',), 0, []),
            ('triple fault under -no-reboot', 't', ('-no-reboot',), 8, ['triple fault']),
            ('isa-debug-exit', 'd', debug_exit, 33, [])):
        with Run(tools, do, *options) as run:
            left_in_order(run, how, code, words)
    with Run(tools, 'h') as run:
        run.until_printed('written')
        run.ask('quit', wait=False)
        left_in_order(run, "the monitor's quit", 0, [])
    for seconds in '10', '60', '200': # until it is long enough to write all
        with Run(tools, 'h', '-timeout', seconds) as run:
            until(lambda: 'written' in run.printed() or run.process.poll() is not None, 'the guest writes, or its time is up')
            if 'written' in run.printed():
                left_in_order(run, '-timeout', 10, ['time is up'])
                break
    else:
        fail('the guest never writes all')


def in_the_middle(tools):
    """Writing goes on while the signal comes: the image is sound, and each block is whole or was never written."""
    with Run(tools, 'w') as run:
        until(lambda: os.path.getsize(run.disk) > 20 << 20, 'the image grows')
        run.process.send_signal(signal.SIGTERM)
        check(run.end() == 0, 'SIGTERM while the guest writes: exit code 0')
        contents = run.contents()
        odd = [n for n, data in enumerate(contents) if data != block(n) and data.strip(b'\0')]
        check(not odd, 'the image is sound and has no half-written block')


def before_it_runs(tools):
    """While it waits for a connection."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'serial')
        with Run(tools, 'h', '-serial', f'unix:{path},server', '-timeout', '1', serial=False) as run:
            check(run.end() == 10 and 'time is up' in run.said, f'-timeout while it waits for a connection: {run.said!r}')
            check(not os.path.exists(run.pidfile) and not os.path.exists(path), 'nothing is left')
        with Run(tools, 'h', '-serial', f'unix:{path},server', serial=False) as run:
            until(lambda: os.path.exists(path) and os.path.exists(run.pidfile), 'it waits')
            run.process.send_signal(signal.SIGTERM)
            check(run.end() == 0 and 'SIGTERM' in run.said, f'SIGTERM while it waits for a connection: {run.said!r}')
            check(not os.path.exists(run.pidfile) and not os.path.exists(path), 'nothing is left')


def on_terminal(tools):
    def controlling():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    for how, options, keys, code, words in (
            ('Ctrl-A x', ('-serial', 'mon:stdio'), b'\1x', 0, []),
            ('Ctrl-C where the terminal is the plain serial port', ('-serial', 'stdio'), b'\3', 0, ['SIGINT from the terminal']),
            ('Ctrl-\\ where the terminal is the plain serial port', ('-serial', 'stdio'), b'\34', 0, ['SIGQUIT from the terminal']),
            ('Ctrl-C in a terminal that is not used', ('-serial', 'null'), b'\3', 0, ['SIGINT from the terminal']),
            ('hang-up', ('-serial', 'mon:stdio'), None, 0, ['SIGHUP from the terminal']),
            ('Ctrl-C, which is the guest\'s, then Ctrl-A x', ('-nographic',), b'\3' * 3 + b'\1x', 0, [])):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        with Run(tools, 'h', *options, serial=False, stdin=slave, stdout=slave, preexec_fn=controlling) as run:
            if 'null' in options:
                until(lambda: run.counter() == 1, 'the guest has written')
            else:
                got = b''
                while b'written' not in got:
                    got += os.read(master, 4096)
            if keys is None:
                os.close(slave)
                os.close(master)
            else:
                os.write(master, keys)
            left_in_order(run, how, code, words)
            if keys is not None:
                check(termios.tcgetattr(slave) == before, f'{how}: the terminal is as it was')
                os.close(slave)
                os.close(master)


def in_background(tools):
    """A background job of a shell with job control, stopped because it uses the terminal: SIGTERM ends it once it may go on, and
    leaves the terminal to who is in the foreground."""
    for how in ('-nographic', '-serial stdio'):
        def shell(slave):
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        def job():
            os.setpgid(0, 0)  # and not in the foreground

        master, slave = pty.openpty()
        with tempfile.TemporaryDirectory() as folder:
            pid = os.path.join(folder, 'pid')
            child = os.fork()
            if not child:
                try:
                    shell(slave)
                    before = termios.tcgetattr(slave)
                    p = subprocess.Popen([tools[0], '-accel', 'interp', '-m', '16M', '-kernel', tools[2], '-append', 'do=h',
                                          '-display', 'none', '-pidfile', pid, *how.split()], stdin=slave, stdout=slave,
                                         stderr=subprocess.PIPE, preexec_fn=job)
                    until(lambda: os.waitpid(p.pid, os.WUNTRACED | os.WNOHANG)[0], 'the job is stopped')
                    p.send_signal(signal.SIGTERM)
                    p.send_signal(signal.SIGCONT)
                    status = []
                    try:
                        until(lambda: status.extend(s for n, s in [os.waitpid(p.pid, os.WUNTRACED | os.WNOHANG)] if n) or status,
                              f'{how}: SIGTERM in the background ends it')
                    finally:  # also when it does not: with its broker, which may be stopped
                        if not status or os.WIFSTOPPED(status[0]):
                            os.killpg(p.pid, signal.SIGKILL)
                    status = status[0]
                    check(os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f'{how}: SIGTERM in the background: {status}')
                    check(not os.path.exists(pid), f'{how}: nothing is left')
                    check(termios.tcgetattr(slave) == before, f"{how}: the shell's terminal is as it was")
                    sys.stdout.flush()
                    os._exit(0)
                except BaseException as e:  # of the child: the parent goes on
                    print(e)
                    sys.stdout.flush()
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            check(status == 0, f'{how}: a job in the background')
        os.close(master)
        os.close(slave)


def reader_gone(tools):
    """A peer that closes its end is no signal."""
    read, write = os.pipe()
    with Run(tools, 'f', '-serial', 'stdio', image=None, serial=False, stdout=write) as run:
        os.close(write)
        os.read(read, 100)
        os.close(read)
        first = run.counter()
        until(lambda: run.counter() != first, 'the guest goes on')
        check(True, 'the reader of its stdout goes away: the guest goes on')
        run.process.send_signal(signal.SIGTERM)
        check(run.end() == 0, 'and it ends in order')


def main():
    tools = sys.argv[1:]
    for part in (by_signal, by_itself, in_the_middle, before_it_runs, on_terminal, in_background, reader_gone):
        part(tools)


main()
