#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""paisano-img when something goes wrong: what it leaves behind, and what it must not lose.

usage: test_img.py PAISANO-IMG"""
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

OURS = os.path.abspath(sys.argv[1])
MIB = 1 << 20
failures = []


def run(*args, code=0, words="", limit=0, tool=OURS):
    def tighten():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    p = subprocess.run([tool, *args], capture_output=True, text=True, check=False, preexec_fn=tighten if limit else None)
    expect(p.returncode == code and words in p.stderr, f"{' '.join(args)}: exit {p.returncode}, not {code}: {p.stdout}{p.stderr}")
    return p.stdout


def expect(condition, what):
    if not condition:
        failures.append(what)
        print("FAILED", what)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def poke(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def some_data(size):
    return b"".join(i.to_bytes(8, "little") * 8 for i in range(size // 64))


def cut_source():
    """What cannot be converted whole leaves nothing that could be taken for it."""
    write("raw", some_data(4 * MIB))
    run("convert", "-O", "qcow2", "raw", "cut")
    os.truncate("cut", 3 * MIB)
    for form in ("raw", "qcow2"):
        run("convert", "-O", form, "cut", "out", code=1)
        expect(not os.path.exists("out"), f"a part of a {form} disk is left")
        write("out", b"something else")
        run("convert", "-O", form, "cut", "out", code=1)
        expect(not os.path.exists("out"), f"a part of a {form} disk is left in the place of another file")
    os.symlink("elsewhere", "link")
    run("convert", "-O", "raw", "cut", "link", code=1)
    expect(os.path.islink("link"), "a link was removed")
    # a target that was there and is to be kept is not removed
    run("create", "-f", "raw", "kept", "4M")
    run("convert", "-n", "-O", "raw", "cut", "kept", code=1)
    expect(os.path.getsize("kept") == 4 * MIB, "the target of convert -n is gone")


def no_room():
    write("raw", some_data(4 * MIB))
    run("convert", "-O", "raw", "raw", "out", code=1, limit=MIB)
    expect(not os.path.exists("out"), "without room: a part is left")
    run("create", "-f", "qcow2", "-o", "preallocation=full", "new", "8M", code=1, limit=MIB)
    expect(not os.path.exists("new"), "create without room: a part is left")


def signals():
    write("large", some_data(8 * MIB) * 12)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p = subprocess.Popen([OURS, "convert", "-p", "-c", "-O", "qcow2", "large", "out"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdout.read(1)  # it is at work
        p.send_signal(sig)
        p.communicate()
        expect(p.returncode == -sig, f"{sig.name}: exit {p.returncode}")
        expect(not os.path.exists("out"), f"{sig.name}: a part is left")
    os.unlink("large")


def mistakes():
    """A command that cannot be carried out touches nothing."""
    before = some_data(MIB)
    for args in (["-o", "cluster_size=3", "old", "1M"], ["-o", "refcount_bits=3", "old", "1M"], ["old", "8E"],
                 ["-o", "cluster_size=512", "old", "100T"],
                 ["-b", "x" * 1000, "-F", "raw", "-u", "-o", "cluster_size=512", "old", "1M"]):
        write("old", before)
        run("create", "-f", "qcow2", *args, code=1)
        expect(read("old") == before, f"create {args[:2]} has overwritten the file")
    run("convert", "-O", "qcow2", "-o", "cluster_size=3", "old", "old2", code=1)
    write("old2", before)
    run("convert", "-O", "qcow2", "-o", "cluster_size=3", "old", "old2", code=1)
    expect(read("old2") == before, "convert with bad options has overwritten the file")
    for extra in ([], ["-U"]):
        run("convert", *extra, "-O", "raw", "old", "old", code=1)
        expect(read("old") == before, "a file converted into itself is gone")


def own_backing():
    """An image that would stand on itself, at once or by others, is left as it is; so is one that would stand too high."""
    os.mkdir("self")
    run("create", "-f", "qcow2", "self/a", "1M")
    run("create", "-f", "qcow2", "-b", "a", "-F", "qcow2", "self/b")
    for name, backing in (("self/a", "a"), ("self/../self/a", "../self/a"), ("self/a", "b")):
        before = read("self/a")
        run("create", "-f", "qcow2", "-b", backing, "-F", "qcow2", name, code=1, words="its own backing file")
        expect(read("self/a") == before, f"{name} on {backing}: changed")
    for n in range(63):
        run("create", "-f", "qcow2", "-b", f"c{n - 1}" if n else "a", "-F", "qcow2", f"self/c{n}")
    run("check", "self/c62")
    run("create", "-f", "qcow2", "-b", "c62", "-F", "qcow2", "self/c63", code=1, words="on top of each other")


def all_used():
    """Refcounts that claim a whole block of clusters: a write passes them, whatever their width, and finds room behind."""
    write("new", some_data(MIB))
    for bits in (1, 2, 4, 8, 16, 32, 64):
        run("create", "-f", "qcow2", "-o", f"cluster_size=512,refcount_bits={bits}", "full", "1M")
        with open("full", "r+b") as f:
            f.seek(48)
            f.seek(int.from_bytes(f.read(8), "big"))
            f.seek(int.from_bytes(f.read(8), "big"))
            f.write(b"\xff" * 512)
        run("convert", "-n", "-f", "raw", "-O", "qcow2", "new", "full")
        run("compare", "-f", "raw", "-F", "qcow2", "new", "full")
        expect(os.path.getsize("full") > 512 * 8 // bits * 512 + MIB, f"{bits} bits: used clusters are used again")


def add_bitmap(path):
    """A header extension that tells of a bitmap, and the bit that says that it is up to date."""
    poke(path, 112, struct.pack(">IIIIQQ", 0x23852875, 24, 1, 0, 32, 0x50000) + bytes(8))
    poke(path, 88, struct.pack(">Q", 1))


def bitmaps():
    real = shutil.which("qemu-img")
    run("create", "-f", "qcow2", "base", "8M")
    run("create", "-f", "qcow2", "over", "8M")
    for name in ("over", "base"):
        if real:
            run("bitmap", "--add", name, "b0", tool=real)
        else:
            add_bitmap(name)
    before = read("over"), read("base")
    run("resize", "over", "16M", code=1, words="bitmaps")
    run("rebase", "-u", "-b", "base", "-F", "qcow2", "over", code=1, words="bitmaps")
    expect((read("over"), read("base")) == before, "a refused command has changed the image")
    run("create", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top")
    run("commit", "top", code=1, words="bitmaps")
    expect((read("over"), read("base")) == before, "a refused commit has changed its base")
    if real:
        expect('"name": "b0"' in run("info", "--output=json", "over", tool=real), "the bitmap is gone")
        run("check", "over", tool=real)
    run("check", "-r", "all", "over", code=0 if real else 2)
    run("convert", "-n", "-O", "qcow2", "top", "over", words="bitmaps")  # writing is said to end them
    run("resize", "over", "16M")


def committed():
    """What a guest wrote does not make a raw base something else."""
    write("base.raw", bytes(MIB))
    run("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "over.q")
    write("evil", b"QFI\xfb\0\0\0\3".ljust(MIB, b"\0"))
    run("convert", "-n", "-f", "raw", "-O", "qcow2", "evil", "over.q")
    run("commit", "over.q", code=1)
    expect(read("base.raw") == bytes(MIB), "a qcow2 header went into a raw base")
    run("convert", "-f", "raw", "-O", "raw", "evil", "out.raw", words="looks like a qcow2")


def foreign():
    """A commit says what it overwrites, and overwrites only what is a disk beside the image unless the user names it."""
    for folder in ("here", "here/below", "there"):
        os.mkdir(folder)

    def commit(backing, path, *args, code=0, words="", before=bytes(MIB)):
        write(path, before)
        run("create", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", "here/top", "1M")
        write("new", b"new".ljust(MIB, b"!"))
        run("convert", "-n", "-f", "raw", "-O", "qcow2", "new", "here/top")
        said = run("commit", *args, "here/top", code=code, words=words)
        changed = read(path).startswith(b"new")
        expect(changed == (code == 0), f"commit into {backing}: {'' if changed else 'not '}written")
        return said
    for backing in ("base", "below/base", os.path.abspath("here/base")):
        expect("base" in commit(backing, os.path.join("here", backing)), "a commit does not say into what")
    commit("../there/base", "there/base", code=1, words="not in its folder")
    absolute = os.path.abspath("there/base")
    commit(absolute, absolute, code=1, words=f"-b {absolute}")
    os.symlink(absolute, "here/link")
    commit("link", absolute, code=1, words="not in its folder")
    commit(absolute, absolute, "-b", absolute)
    commit("../there/base", absolute, "-b", "../there/base")
    commit("letter", "here/letter", code=1, words="does not look like a disk", before=b"Dear reader,\n")
    commit("packed", "here/packed", code=1, words="does not look like a disk", before=b"\x1f\x8b".ljust(MIB, b"z"))
    commit("letter", "here/letter", "-b", "letter", before=b"Dear reader,\n")


def snapshots():
    """What is inside an image besides its disk is not changed or left behind without a word."""
    if not shutil.which("qemu-img"):
        return
    write("low", some_data(MIB))
    run("create", "-f", "qcow2", "-b", "low", "-F", "raw", "snap")
    run("snapshot", "-c", "one", "snap", tool="qemu-img")
    write("new", bytes(MIB))
    before = read("low")
    run("rebase", "-b", "new", "-F", "raw", "snap", code=1, words="snapshots")
    run("commit", "snap", code=1, words="snapshots")
    expect(read("low") == before, "a refused commit has changed its base")
    run("convert", "-O", "raw", "snap", "out.raw", words="not its internal snapshots (1)")
    run("convert", "-q", "-O", "raw", "snap", "out.raw")
    run("rebase", "-u", "-b", "new", "-F", "raw", "snap")


def main():
    with tempfile.TemporaryDirectory(prefix="paisano-img-") as tmp:
        os.chdir(tmp)
        for test in (cut_source, no_room, signals, mistakes, own_backing, all_used, bitmaps, committed, foreign, snapshots):
            had = len(failures)
            test()
            print("ok" if len(failures) == had else "FAILED", test.__name__)
        os.chdir("/")
    sys.exit(bool(failures))


main()
