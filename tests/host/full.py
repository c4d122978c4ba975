#!/usr/bin/env python3
"""A host without room. The machine pauses, says so, and goes on when the user has made room: nothing is lost. The limit on a
file's size, which a user may raise for a process that runs, does for every kind of image; where the test may mount, a file system
that is full and then grows does as well. Then the words of werror= and rerror=.
usage: full.py PAISANO PAISANO-IMG GUEST.elf"""
import os, resource, signal, subprocess, sys, tempfile

from run import BLOCKS, Run, block, check, fail, until

MIB = 1 << 20
HOST = 12  # the exit code
WAITS = 'paused (io-error)'


def tight(size):
    """For the process: no file longer than that; the user may raise it."""
    def prepare():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return prepare


def loosen(run, size=resource.RLIM_INFINITY):
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def until_paused(run):
    until(lambda: WAITS in run.ask('info status'), WAITS)
    check('written' not in run.printed() and 'failed' not in run.printed(), 'no room: ' + run.ask('info status').split('\n')[-2])


def pauses(tools, what, image, *options):
    with Run(tools, 'h', *options, image=image, preexec_fn=tight(10 * MIB)) as run:
        until_paused(run)
        run.ask('cont')  # still no room
        until_paused(run)
        loosen(run, 20 * MIB)
        run.ask('cont')
        until_paused(run)
        loosen(run)
        run.ask('cont')
        run.until_printed('written')
        check('running' in run.ask('info status'), f'{what}: room again: it goes on')
        if '-snapshot' in options:
            run.ask('quit', wait=False)
            check(run.end() == 0, f'{what}: it ends')
        else:
            run.process.send_signal(signal.SIGTERM)
            check(run.end() == 0 and run.kept() == BLOCKS, f'{what}: {BLOCKS} of {BLOCKS} blocks are there')
        check(run.said.count('no room') >= 3 and "'cont'" in run.said, f'{what}: and said so')


def ends_without_room(tools, image):
    """The user gives up: what was written before is kept, what waited is named."""
    with Run(tools, 'h', image=image, preexec_fn=tight(20 * MIB)) as run:
        until_paused(run)
        run.process.send_signal(signal.SIGTERM)
        check(run.end() == HOST and 'given up' in run.said, f'{image}: ended while paused: {run.said.splitlines()[-2:]}')
        contents = run.contents()
        kept = [data == block(n) for n, data in enumerate(contents)]
        first = kept.index(False)
        check(first * 65536 > 16 * MIB, f'{image}: the {first} blocks that were written are kept')


def words(tools):
    with Run(tools, 'h', image='qcow2', drive=',werror=report', preexec_fn=tight(10 * MIB)) as run:
        run.until_printed('failed')
        check('running' in run.ask('info status'), 'werror=report: the guest sees it')
        run.ask('quit', wait=False)
        check(run.end() == 0 and run.said.count('no room') == 1, f'werror=report: {run.said!r}')
    with Run(tools, 'h', image='raw', drive=',werror=ignore', preexec_fn=tight(10 * MIB)) as run:
        run.until_printed('written')
        run.ask('quit', wait=False)
        check(run.end() == 0 and 'is not told' in run.said, f'werror=ignore: {run.said!r}')
    with Run(tools, 'h', image='qcow2', drive=',werror=stop,rerror=stop', preexec_fn=tight(10 * MIB)) as run:
        until_paused(run)
        loosen(run)
        run.ask('system_reset')  # the request is given up, or done; the guest begins anew
        run.ask('cont')
        run.until_printed('written')
        run.process.send_signal(signal.SIGTERM)
        check(run.end() == 0 and run.kept() == BLOCKS, 'a reset while it is paused')


def full_file_system(tools):
    """A file system in memory, in a name space of our own: full, then larger."""
    with tempfile.TemporaryDirectory() as folder:
        script = f'mount -t tmpfs -o size=8m tmpfs {folder} && exec {sys.executable} {__file__} --inside {folder} {" ".join(tools)}'
        for how in (['unshare', '-m'], ['unshare', '-Urm']):
            if subprocess.run([*how, 'mount', '-t', 'tmpfs', 'tmpfs', folder], stderr=subprocess.DEVNULL).returncode == 0:
                check(subprocess.run([*how, 'sh', '-c', script]).returncode == 0, 'a full file system')
                return
    print('NOTE: this user may not mount: a full file system was not tried, only limits on files')


def inside(folder, *tools):
    tempfile.tempdir = folder
    os.environ['TMPDIR'] = folder
    for options in ((), ('-snapshot',)):
        with Run(tools, 'h', *options) as run:
            until_paused(run)
            subprocess.run(['mount', '-o', 'remount,size=200m', folder], check=True)
            run.ask('cont')
            run.until_printed('written')
            run.process.send_signal(signal.SIGTERM)
            check(run.end() == 0 and (options or run.kept() == BLOCKS), f'tmpfs {options}: room again, nothing is lost')
        subprocess.run(['mount', '-o', 'remount,size=8m', folder], check=True)
    for image in ('raw', 'qcow2'):
        with Run(tools, 'h', image=image) as run:
            until_paused(run)
            run.process.send_signal(signal.SIGTERM)
            check(run.end() == HOST, f'tmpfs, {image}: ended while paused: {run.said.splitlines()}')
            subprocess.run(['mount', '-o', 'remount,size=200m', folder], check=True)
            first = [data == block(n) for n, data in enumerate(run.contents())].index(False)
            check(first * 65536 > 6 * MIB, f'tmpfs, {image}: the {first} blocks that were written are kept')
        subprocess.run(['mount', '-o', 'remount,size=8m', folder], check=True)


def main():
    if sys.argv[1] == '--inside':
        inside(*sys.argv[2:])
        return
    tools = sys.argv[1:]
    pauses(tools, 'qcow2', 'qcow2')
    pauses(tools, 'raw', 'raw')
    pauses(tools, '-snapshot', 'qcow2', '-snapshot')
    ends_without_room(tools, 'raw')
    ends_without_room(tools, 'qcow2')
    words(tools)
    full_file_system(tools)


main()
