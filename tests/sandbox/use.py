#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What users do still works in the sandbox: another CD, one with backing files, pictures, other engines, all kinds of monitors;
and what they see of it: the option, the process's rights, files that go when the emulator is killed.

usage: use.py PAISANO PAISANO-IMG"""
import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

PAISANO, IMG = sys.argv[1:]
PATIENCE = 120
failed = []


def check(ok, what, seen=""):
    print("ok" if ok else "FAILED", what, "" if ok else f": {seen!r}")
    if not ok:
        failed.append(what)


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            check(False, what, "it does not come")
            return False
        time.sleep(0.02)
    return True


class Guest:
    """A machine that halts at its reset vector."""

    def __init__(self, *options, monitor="stdio", **more):
        command = [PAISANO, "-m", "1M", "-accel", "interp", "-bios", "halt", "-display", "none", "-timeout", "300"]
        self.process = subprocess.Popen([*command, *(["-monitor", monitor] if monitor else []), *options], text=False,
                                        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})
        self.pid = self.process.pid

    def say(self, *lines):
        """To the monitor on stdin; all that it answered, when it has ended."""
        out, err = self.process.communicate("".join(line + "\n" for line in (*lines, "quit")).encode(), timeout=PATIENCE)
        return out.decode(), err.decode()

    def shut(self):
        """The sandbox is: every thread has its filter."""
        def all_filtered():
            states = [self.status(t) for t in os.listdir(f"/proc/{self.pid}/task")]
            return states and all(s.get("Seccomp") == "2" for s in states)
        return until(all_filtered, "the sandbox shuts")

    def status(self, thread):
        try:
            with open(f"/proc/{self.pid}/task/{thread}/status", encoding="ascii") as f:
                return dict(re.findall(r"^(\w+):\s*(.*)$", f.read(), re.M))
        except FileNotFoundError:
            return {"Seccomp": "2"}  # it has ended

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


class Stream:
    def __init__(self, fd_read, fd_write):
        self.read_fd, self.write_fd, self.text = fd_read, fd_write, b""

    def say(self, line):
        os.write(self.write_fd, line.encode())

    def expect(self, words):
        end = time.monotonic() + PATIENCE
        while words.encode() not in self.text:
            ready, _, _ = select.select([self.read_fd], [], [], PATIENCE)
            try:
                got = os.read(self.read_fd, 4096) if ready else b""
            except OSError:
                got = b""
            if not got or time.monotonic() > end:
                check(False, f"the monitor says {words}", self.text)
                return ""
            self.text += got
        before, _, self.text = self.text.partition(words.encode())
        return before.decode(errors="replace")


def options():
    for value, code, words in (
            ("maybe", 2, "-sandbox"),
            ("on,spawn=perhaps", 2, "neither allow nor deny"),
            ("on,obsolete=children", 2, "neither allow nor deny"),
            ("on,window=open", 2, "-sandbox")):
        p = subprocess.run([PAISANO, "-sandbox", value, "-bios", "halt"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           timeout=PATIENCE)
        check(p.returncode == code and words in p.stderr and p.stderr.count("\n") == 1, f"-sandbox {value} is refused", p.stderr)
    for value in ("on,obsolete=deny,elevateprivileges=children,spawn=deny,resourcecontrol=deny", "on", "off"):
        out, err = (guest := Guest("-sandbox", value)).say("info status")
        check("running" in out and guest.process.returncode == 0 and not err, f"-sandbox {value}", out + err)


def rights():
    guest = Guest("-smp", "2")
    if guest.shut():
        states = [guest.status(t) for t in os.listdir(f"/proc/{guest.pid}/task")]
        check(len(states) >= 7, "threads are the CPUs', the loop's and its workers'", len(states))
        for word in ("CapInh", "CapPrm", "CapEff", "CapBnd" if os.getuid() == 0 else "CapEff", "CapAmb"):
            check(all(int(s[word], 16) == 0 for s in states), f"{word} is empty", [s[word] for s in states])
        check(all(s["NoNewPrivs"] == "1" for s in states), "no_new_privs")
        with open(f"/proc/{guest.pid}/limits", encoding="ascii") as f:
            check(re.search(r"Max core file size\s+0\s+0", f.read()), "no core files")
        with open(f"/proc/{guest.pid}/task/{guest.pid}/children", encoding="ascii") as f:
            broker = int(f.read())
        with open(f"/proc/{broker}/status", encoding="ascii") as f:
            text = f.read()
        check("paisano-broker" in text and re.search(r"Seccomp:\s*2", text) and re.search(r"NoNewPrivs:\s*1", text),
              "the broker is shut too", text)
        guest.end()
        until(lambda: not os.path.exists(f"/proc/{broker}/task"), "the broker goes with the emulator")
    off = Guest("-sandbox", "off")
    off.process.stdin.write(b"info status\n")
    off.process.stdin.flush()
    Stream(off.process.stdout.fileno(), None).expect("running")
    check(off.status(off.pid)["Seccomp"] == "0", "-sandbox off leaves all")
    off.end()


def files():
    cd = ["-cdrom", "first.iso"]
    out, err = Guest(*cd).say("info block", "change ide1-cd0 second.iso", "info block")
    check("second.iso (raw, read-only)" in out and not err, "another CD", out + err)
    out, err = Guest(*cd).say('change ide1-cd0 "with blanks.iso"', "info block")
    check("with blanks.iso (raw" in out, "a name in quotes", out + err)
    out, err = Guest(*cd).say("chxange\b\b\b\b\b\bhange ide1-cd0 nothing\x15change ide1-cd0 second.iso", "info block")
    check("second.iso (raw" in out, "typing mistakes, mended", out)
    out, err = Guest(*cd).say(f"change ide1-cd0 {os.getcwd()}/folder/top.qcow2", "info block")
    check("top.qcow2 (qcow2" in out, "one on a chain of three", out + err)
    out, err = Guest(*cd).say("change ide1-cd0 missing.iso", "info block")
    check("missing.iso: No such file" in out and "first.iso" in out, "a name of nothing", out)
    out, err = Guest(*cd).say("change ide1-cd0 /dev/null", "change ide1-cd0 folder", "info block")
    check("first.iso" in out and "paisano" not in err, "what is no image", out)
    out, err = Guest("-fda", "floppy").say("change floppy0 other", "info block")
    check("floppy0: other (raw), 1474560" in out, "a floppy that can be written", out)
    out, err = Guest().say("screendump picture.png", "screendump picture.ppm", "screendump none/such.ppm")
    check("such.ppm: No such file" in out, "a picture in no folder", out)
    for name, magic in (("picture.png", b"\x89PNG"), ("picture.ppm", b"P6")):
        with contextlib.suppress(OSError), open(name, "rb") as f:
            magic = not f.read(4).startswith(magic)
        check(magic is False, name)


def believed():
    """What an image stands on is what it said before the emulator could write it, and not what it says now."""
    with open("secret", "wb") as f:
        f.write(b"secret" * 1024)
    # what a subverted emulator would write through its descriptor is written here
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "-b", os.path.abspath("secret"), "-F", "raw", "evil"], check=True,
                   timeout=PATIENCE)
    with open("evil", "rb") as f:
        evil = f.read()

    def floppy(name):
        with open(name, "wb") as f:
            f.truncate(1474560)

    def attack(what, *options, first=(), name="victim"):
        floppy("victim")
        guest = Guest(*options)
        m = Stream(guest.process.stdout.fileno(), guest.process.stdin.fileno())
        guest.shut()
        m.say("\n".join((*first, "info block", "")))
        m.expect("floppy0: victim (raw)")
        with open("victim", "r+b") as f:
            f.write(evil)
        out, err = guest.say("change floppy0 dull", f"change floppy0 {name}", "info block")
        out = m.text.decode() + out
        check("dull (raw" in out and "Permission denied" in out and "(qcow2" not in out, what, out + err)
    floppy("dull")
    attack("a floppy that was written after it was changed", "-fda", "dull", first=["change floppy0 victim"])
    attack("a floppy that was there from the start", "-fda", "victim")
    os.link("victim", "alias")
    attack("a floppy under another name", "-fda", "victim", name="alias")
    # the user's own chain stays what it was
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "-b", "dull", "-F", "raw", "chain"], check=True, timeout=PATIENCE)
    out, err = Guest("-fda", "floppy").say("change floppy0 chain", "change floppy0 other", "change floppy0 chain", "info block")
    check("floppy0: chain (qcow2)" in out, "a floppy on another, twice", out + err)


def engines():
    listed = subprocess.run([PAISANO, "-accel", "help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    if not re.search(r"^jit\b", listed, re.M):
        return
    guest = Guest("-smp", "2", "-jit", "perfmap=on")
    out, err = guest.say("engine jit", "info engine", "engine interp", "info engine", "engine jit")
    check("engine     jit" in out and "engine     interp" in out, "engines change", out + err)
    path = f"/tmp/perf-{guest.pid}.map"
    check(os.path.exists(path), "perf's map is there")
    with contextlib.suppress(OSError):
        os.unlink(path)


def monitors():
    # a socket: one connection at a time, one after the other
    guest = Guest("-cdrom", "first.iso", monitor="unix:monitor,server,nowait", stdin=subprocess.DEVNULL)
    until(lambda: os.path.exists("monitor"), "the monitor's socket")
    guest.shut()
    for name in ("second.iso", "with blanks.iso"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("monitor")
            m = Stream(s.fileno(), s.fileno())
            m.expect("(paisano)")
            with socket.socket(socket.AF_UNIX) as other:
                other.connect("monitor")
                other.settimeout(PATIENCE)
                check(other.recv(10) == b"", "a second one at a time is sent away")
            m.say(f'change ide1-cd0 "{name}"\ninfo block\n')
            m.expect(f"{name} (raw")
    guest.process.kill()
    guest.process.wait()
    until(lambda: not os.path.exists("monitor"), "the socket goes with the emulator, even if it is killed")
    guest.end()

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    guest = Guest("-cdrom", "first.iso", monitor=f"telnet:127.0.0.1:{port},server,nowait", stdin=subprocess.DEVNULL)
    guest.shut()
    with socket.create_connection(("127.0.0.1", port)) as s:
        m = Stream(s.fileno(), s.fileno())
        m.expect("(paisano)")
        s.sendall(b"change ide1-\xff\xfb\x1fcd0 second.iso\r\0info block\r\0")  # an answer of the protocol in the middle
        m.expect("second.iso (raw")
    guest.end()

    # the keys of a terminal
    master, slave = pty.openpty()
    guest = Guest("-cdrom", "first.iso", "-nographic", monitor=None, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    m = Stream(master, master)
    m.expect("Ctrl-A b break")
    guest.shut()
    m.say("\1cinfo block\r")
    m.expect("first.iso")
    m.say("change ide1-cd0 second.iso\rinfo block\r")
    m.expect("second.iso (raw")
    m.say("\1c\1x")
    check(guest.process.wait(timeout=PATIENCE) == 0, "Ctrl-A x")
    os.close(master)


def leavings():
    out, err = Guest("-pidfile", "pid").say("info status")
    check(not os.path.exists("pid"), "the pidfile goes at the end", out + err)
    guest = Guest("-pidfile", "pid")
    guest.shut()
    check(os.path.exists("pid"), "a pidfile")
    guest.process.send_signal(signal.SIGKILL)
    guest.process.wait()
    until(lambda: not os.path.exists("pid"), "the pidfile goes with the emulator")
    guest.end()
    guest = Guest("-pidfile", "pid")
    guest.shut()
    os.unlink("pid")
    with open("pid", "w", encoding="ascii") as f:
        f.write("mine")
    with open(f"/proc/{guest.pid}/task/{guest.pid}/children", encoding="ascii") as f:
        broker = int(f.read())
    guest.end()
    until(lambda: not os.path.exists(f"/proc/{broker}/task"), "the broker ends")
    check(os.path.exists("pid"), "somebody else's file of that name stays")
    guest = Guest("-cdrom", "first.iso", monitor="unix:monitor,server,nowait", stdin=subprocess.DEVNULL)
    guest.shut()
    with open(f"/proc/{guest.pid}/task/{guest.pid}/children", encoding="ascii") as f:
        os.kill(int(f.read()), signal.SIGKILL)
    try:
        _, err = guest.process.communicate(timeout=PATIENCE)
        check(guest.process.returncode == 12 and err.count(b"\n") == 1 and b"broker has gone" in err,
              "killed alone, the broker ends the run", err)
    except subprocess.TimeoutExpired:
        check(False, "killed alone, the broker ends the run", "it goes on")
        guest.end()


def main():
    os.chdir(tempfile.mkdtemp(prefix="sandbox-use-"))
    image = bytearray(b"\xf4" * 65536)  # hlt
    image[0xFFF0:0xFFF3] = bytes([0xF4, 0xEB, 0xFD])
    with open("halt", "wb") as f:
        f.write(image)
    for name in ("first.iso", "second.iso", "with blanks.iso"):
        with open(name, "wb") as f:
            f.truncate(1 << 20)
    for name in ("floppy", "other"):
        with open(name, "wb") as f:
            f.truncate(1474560)
    os.mkdir("folder")
    for arguments in (["create", "-q", "-f", "raw", "folder/base.raw", "1M"],
                      ["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "folder/middle.qcow2"],
                      ["create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", "folder/top.qcow2"]):
        subprocess.run([IMG, *arguments], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
    probe = Guest("-sandbox", "on").process
    error = probe.communicate(b"quit\n", timeout=PATIENCE)[1].decode()
    if probe.returncode == 12:
        print("no sandbox on this host or in this build:", error)
        return 77
    options()
    files()
    believed()
    engines()
    rights()
    monitors()
    leavings()
    print(f"{len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
