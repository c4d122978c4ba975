#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""paisano-img and qemu-img on the same images, in both directions, for every feature that both know.

usage: test_interop.py PAISANO-IMG   (77: no qemu-img here, the test is skipped)"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

OURS = os.path.abspath(sys.argv[1])
SIZE = 3 << 20
FEATURES = [
    "compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4096", "cluster_size=2M", "refcount_bits=1",
    "refcount_bits=2", "refcount_bits=4,cluster_size=1024", "refcount_bits=8", "refcount_bits=32", "refcount_bits=64",
    "lazy_refcounts=on", "compression_type=zstd", "preallocation=metadata", "preallocation=falloc",
    "preallocation=full,cluster_size=32k",
]
failures = []


def run(*args, expect=0):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode != expect:
        failures.append(f"{' '.join(args)}: exit {done.returncode}, not {expect}: {done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, what):
    if not condition:
        failures.append(what)


def make_raw(path, seed):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(SIZE)
        for _ in range(40):
            f.seek(rng.randrange(SIZE - 70000))
            kind = rng.randrange(3)
            length = rng.randrange(1, 70000)
            f.write(rng.randbytes(length) if kind == 0 else bytes([rng.randrange(256)]) * length if kind == 1
                    else b"\0" * length)


def same(a, fmt_a, b, fmt_b):
    run("qemu-img", "compare", "-f", fmt_a, "-F", fmt_b, a, b)
    run(OURS, "compare", "-q", "-f", fmt_a, "-F", fmt_b, a, b)


def clean(image):
    run("qemu-img", "check", "-f", "qcow2", image)
    run(OURS, "check", "-q", "-f", "qcow2", image)


def both_ways(options):
    for maker, reader in ((OURS, "qemu-img"), ("qemu-img", OURS)):
        for flags in ([], ["-c"]):
            if flags and "preallocation" in options:
                continue
            shutil.rmtree("t", ignore_errors=True)
            os.mkdir("t")
            make_raw("t/raw", options + str(flags))
            run(maker, "convert", *flags, "-f", "raw", "-O", "qcow2", "-o", options, "t/raw", "t/a.qcow2")
            clean("t/a.qcow2")
            same("t/raw", "raw", "t/a.qcow2", "qcow2")
            run(reader, "convert", "-f", "qcow2", "-O", "raw", "t/a.qcow2", "t/back")
            same("t/raw", "raw", "t/back", "raw")
            ours = json.loads(run(OURS, "info", "--output=json", "t/a.qcow2"))
            theirs = json.loads(run("qemu-img", "info", "--output=json", "t/a.qcow2"))
            for key in ("virtual-size", "cluster-size", "format", "format-specific"):
                expect(ours.get(key) == theirs.get(key), f"info {key} of {options}: {ours.get(key)} {theirs.get(key)}")
            run(reader, "resize", "-q", "-f", "qcow2", "t/a.qcow2", "+100M")
            clean("t/a.qcow2")
            run(maker, "resize", "-q", "-f", "qcow2", "--shrink", "t/a.qcow2", str(SIZE))
            clean("t/a.qcow2")
            same("t/raw", "raw", "t/a.qcow2", "qcow2")


def chains():
    for maker, other in ((OURS, "qemu-img"), ("qemu-img", OURS)):
        shutil.rmtree("t", ignore_errors=True)
        os.makedirs("t/below")
        make_raw("t/raw1", 1)
        make_raw("t/raw2", 2)
        run(maker, "convert", "-f", "raw", "-O", "qcow2", "t/raw1", "t/below/base.qcow2")
        run(maker, "create", "-q", "-f", "qcow2", "-b", "below/base.qcow2", "-F", "qcow2", "t/top.qcow2")
        same("t/raw1", "raw", "t/top.qcow2", "qcow2")
        # the difference to another content, on top of the same base
        run(other, "convert", "-f", "raw", "-O", "qcow2", "-B", "below/base.qcow2", "-F", "qcow2", "t/raw2", "t/diff.qcow2")
        clean("t/diff.qcow2")
        same("t/raw2", "raw", "t/diff.qcow2", "qcow2")
        # onto another base and to none: the content stays
        run(maker, "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", "t/raw1", "t/other.qcow2")
        run(other, "rebase", "-q", "-f", "qcow2", "-b", "other.qcow2", "-F", "qcow2", "t/diff.qcow2")
        same("t/raw2", "raw", "t/diff.qcow2", "qcow2")
        ours = json.loads(run(OURS, "info", "--output=json", "t/diff.qcow2"))
        expect(ours["backing-filename"] == "other.qcow2", "backing file after rebase")
        run(maker, "rebase", "-q", "-u", "-f", "qcow2", "-b", "below/base.qcow2", "-F", "qcow2", "t/diff.qcow2")
        same("t/raw2", "raw", "t/diff.qcow2", "qcow2")  # the two bases have the same content
        run(other, "commit", "-q", "-f", "qcow2", "t/diff.qcow2")
        clean("t/diff.qcow2")
        clean("t/below/base.qcow2")
        same("t/raw2", "raw", "t/below/base.qcow2", "qcow2")
        same("t/raw2", "raw", "t/diff.qcow2", "qcow2")
        run(maker, "rebase", "-q", "-f", "qcow2", "-b", "", "t/diff.qcow2")
        same("t/raw2", "raw", "t/diff.qcow2", "qcow2")
        clean("t/diff.qcow2")


def snapshots():
    """Snapshots inside an image survive our writing."""
    shutil.rmtree("t", ignore_errors=True)
    os.mkdir("t")
    make_raw("t/raw1", 3)
    make_raw("t/raw2", 4)
    for options in ("cluster_size=64k", "cluster_size=1k", "refcount_bits=8"):
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, "t/raw1", "t/a.qcow2")
        run("qemu-img", "snapshot", "-c", "first", "t/a.qcow2")
        run(OURS, "convert", "-n", "-f", "raw", "-O", "qcow2", "t/raw2", "t/a.qcow2")
        clean("t/a.qcow2")
        same("t/raw2", "raw", "t/a.qcow2", "qcow2")
        run(OURS, "resize", "-q", "-f", "qcow2", "t/a.qcow2", "+64M")
        run("qemu-img", "snapshot", "-a", "first", "t/a.qcow2")
        same("t/raw1", "raw", "t/a.qcow2", "qcow2")
        clean("t/a.qcow2")


def repairs():
    """Damage to the counts: found by both, mended by us, then clean for both."""
    shutil.rmtree("t", ignore_errors=True)
    os.mkdir("t")
    make_raw("t/raw", 5)
    for options in ("cluster_size=64k", "cluster_size=512", "refcount_bits=1", "compat=0.10"):
        for damage in ("counts", "table", "extra", "copied"):
            run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, "t/raw", "t/a.qcow2")
            with open("t/a.qcow2", "r+b") as f:
                head = f.read(112)
                l1 = int.from_bytes(head[40:48], "big")
                table = int.from_bytes(head[48:56], "big")
                f.seek(table)
                block = int.from_bytes(f.read(8), "big")
                f.seek(l1)
                while not (entry := int.from_bytes(f.read(8), "big")):
                    l1 += 8
                if damage == "counts":
                    f.seek(block)
                    f.write(b"\0" * 16)
                elif damage == "table":
                    f.seek(table)
                    f.write((0x123456789).to_bytes(8, "big"))
                elif damage == "extra":
                    f.seek(block)
                    f.write(b"\xff" * 16)
                else:
                    f.seek(l1)
                    f.write((entry ^ 1 << 63).to_bytes(8, "big"))
            found = subprocess.run([OURS, "check", "-f", "qcow2", "t/a.qcow2"], capture_output=True, check=False).returncode
            theirs = subprocess.run(["qemu-img", "check", "-f", "qcow2", "t/a.qcow2"], capture_output=True, check=False).returncode
            expect(found == theirs or (found in (2, 3) and theirs in (1, 2, 3)),
                   f"{damage} with {options}: check says {found}, qemu-img {theirs}")
            run(OURS, "check", "-q", "-f", "qcow2", "-r", "all", "t/a.qcow2")
            clean("t/a.qcow2")
            same("t/raw", "raw", "t/a.qcow2", "qcow2")


BAD = [
    ([], 1, "usage"),
    (["frobnicate", "x"], 1, "Command not found"),
    (["create", "-f", "qcow2", "n"], 1, "needs a size"),
    (["create", "-f", "vmdk", "n", "1M"], 1, "Unknown file format"),
    (["create", "-f", "qcow2", "n", "12Q"], 1, "Invalid image size"),
    (["create", "-f", "qcow2", "n", "-5"], 1, "unknown option"),
    (["create", "-f", "qcow2", "n", "9E"], 1, "Invalid image size"),
    (["create", "-f", "qcow2", "-o", "cluster_size=1000", "n", "1M"], 1, "Cluster size must be"),
    (["create", "-f", "qcow2", "-o", "refcount_bits=3", "n", "1M"], 1, "Refcount width"),
    (["create", "-f", "qcow2", "-o", "compat=0.10,refcount_bits=8", "n", "1M"], 1, "compatibility level"),
    (["create", "-f", "qcow2", "-o", "nothing=1", "n", "1M"], 1, "Invalid parameter"),
    (["create", "-f", "qcow2", "-o", "lazy_refcounts=maybe", "n", "1M"], 1, "neither on nor off"),
    (["create", "-f", "raw", "-b", "raw", "n", "1M"], 1, "Backing file not supported"),
    (["create", "-f", "qcow2", "-b", "gone", "n", "1M"], 1, "gone"),
    (["create", "-f", "qcow2", "-b", "raw", "-F", "raw", "-o", "preallocation=full", "n", "1M"], 1, "cannot be used at the same"),
    (["info", "gone"], 1, "cannot open gone"),
    (["info", "."], 1, "a directory"),
    (["info", "-f", "qcow2", "raw"], 1, "no qcow2 image"),
    (["info", "--output=xml", "raw"], 1, "--output"),
    (["check", "raw"], 63, "does not support checks"),
    (["check", "-r", "some", "a.qcow2"], 1, "expects"),
    (["convert", "-O", "qcow2", "gone", "n"], 1, "cannot open gone"),
    (["convert", "-c", "-O", "raw", "a.qcow2", "n"], 1, "Compression not supported"),
    (["convert", "-O", "qcow2", "a.qcow2", "/nowhere/n"], 1, "cannot create"),
    (["convert", "-O", "qcow2", "a.qcow2", "a.qcow2"], 1, "into itself"),
    (["resize", "a.qcow2", "1k"], 1, "--shrink"),
    (["resize", "a.qcow2", "-1P"], 1, "positive"),
    (["rebase", "a.qcow2"], 1, "-b"),
    (["rebase", "-b", "gone", "a.qcow2"], 1, "gone"),
    (["rebase", "-b", "a.qcow2", "a.qcow2"], 1, "by another program"),
    (["commit", "a.qcow2"], 1, "no backing file"),
    (["compare", "raw", "a.qcow2"], 1, ""),
    (["compare", "raw", "gone"], 2, "cannot open"),
]


def bad_commands():
    """One line and an exit code each; nothing is damaged."""
    shutil.rmtree("t", ignore_errors=True)
    os.mkdir("t")
    os.chdir("t")
    make_raw("raw", 6)
    run(OURS, "create", "-q", "-f", "qcow2", "a.qcow2", "3M")
    for args, code, words in BAD:
        done = subprocess.run([OURS, *args], capture_output=True, text=True, check=False)
        lines = done.stderr.strip().split("\n")
        expect(done.returncode == code and words in done.stderr and (len(lines) == 1 or not args),
               f"{' '.join(args)}: exit {done.returncode}: {done.stderr}")
    # a size is not a promise to use memory
    run(OURS, "create", "-q", "-f", "qcow2", "big", "1E", expect=1)
    run(OURS, "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", "big", "500T")
    run("qemu-img", "check", "-f", "qcow2", "big")
    clean("a.qcow2")
    os.chdir("..")


def main():
    if not shutil.which("qemu-img"):
        print("no qemu-img (Debian: qemu-utils)")
        return 77
    with tempfile.TemporaryDirectory(prefix="paisano-interop-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as temp:
        os.chdir(temp)
        for options in FEATURES:
            both_ways(options)
        chains()
        snapshots()
        repairs()
        bad_commands()
        os.chdir("/")
    for text in failures:
        print(text)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
