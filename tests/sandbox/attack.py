#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An emulator that is subverted reaches nothing: every attack of subvert.c, from every kind of thread, is refused.

usage: attack.py SUBVERTED [THREAD...]

Each attack runs in an emulator of its own, with `-sandbox on`. It must end with an error of the attack's call, or with the
sandbox's line that names a call and the kind of thread, and the user's files must be as before. That the attacks are real is
shown by some of them without the sandbox, where they work. Prints what was refused, and how."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
THREADS = sys.argv[2:] or ["main", "vcpu", "worker", "timer", "window", "network", "text", "library", "started"]
# kinds whose filter lets unknown calls fail instead of ending the run
LENIENT = {"window", "library"}
NO_SANDBOX = ["open_file", "open_write", "open_passwd", "open_memory", "look_at", "list_folder", "new_process", "new_process_3",
              "make_pair", "signal_parent", "code_new", "code_writable", "code_of_data", "own_handler", "be_dumpable"]
REFUSED, WORKED, ENDED = 0, 99, 70


def firmware(path):
    """64 KiB that write to the device's port, on the CPU's thread, and halt."""
    code = bytes([0xBA, 0xE0, 0x05, 0xEE, 0xF4, 0xEB, 0xFD])  # mov dx,0x5e0; out dx,al; hlt; jmp back to hlt
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0, 0, 0, 0xF0])  # the reset vector: jmp f000:0000
    with open(path, "wb") as f:
        f.write(image)


def run(folder, thread, attack, path, sandbox="on"):
    command = [PROGRAM, "-sandbox", sandbox, "-accel", "interp", "-m", "1M", "-display", "none", "-monitor", "none", "-timeout",
               "100", "-bios", f"{folder}/bios", "-drive", f"file={path}.disk,format=raw,if=ide",
               "-device", f"subvert,thread={thread},attack={attack},path={path}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr


def judge(thread, attack, code, text):
    """None if it was refused as it should be, else what is wrong; and how it was refused."""
    kind = "network" if thread == "started" else thread
    if code == REFUSED:
        found = re.search(rf"subvert: {kind} {attack}: (E\w+)", text)
        if found and found.group(1) == "EPERM" and thread not in LENIENT and not attack.startswith("broker_"):
            return "another kind's filter", text
        return (None, found.group(1)) if found else ("no word of it", text)
    if code == ENDED and thread not in LENIENT:
        found = re.search(rf"sandbox: a {kind} thread made the system call (\w+) \((\d+)\)", text)
        return (None, f"ended: {found.group(1)}") if found else ("ended without the sandbox's line", text)
    if attack in ("old_entry", "x32_entry") and code == -31:  # SIGSYS: not this architecture's calls, refused by the kernel at once
        return None, "killed"
    return f"exit status {code}", text


def main():
    failures = []
    with tempfile.TemporaryDirectory(prefix="subvert-") as folder:
        firmware(f"{folder}/bios")
        listed = subprocess.run([PROGRAM, "-sandbox", "off", "-bios", f"{folder}/bios", "-device", "subvert,attack=list"],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True).stdout
        with open(f"{folder}/probe.disk", "wb") as f:
            f.truncate(1 << 20)
        code, text = run(folder, "main", "open_passwd", f"{folder}/probe")
        if code == 12:
            print("no sandbox on this host or in this build:", text)
            return 77
        attacks = [line.split() for line in listed.splitlines()]
        assert len(attacks) > 80

        def one(job):
            thread, attack, sandbox = job
            # another image, in the folder of the guest's own
            path = f"{folder}/other-{thread}-{attack}-{sandbox}.img"
            with open(path, "w", encoding="ascii") as f:
                f.write("secret")
            os.chmod(path, 0o600)
            with open(f"{path}.disk", "wb") as f:
                f.truncate(1 << 20)
            code, text = run(folder, thread, attack, path, sandbox)
            state = os.lstat(path) if os.path.lexists(path) else None
            with open(path, encoding="ascii") if state else open(os.devnull, encoding="ascii") as f:
                whole = f.read() == "secret" and state.st_mode & 0o777 == 0o600
            return job, code, text, whole

        jobs = [(thread, attack, "on") for thread in THREADS for attack, on in attacks if on in ("any", thread)]
        jobs += [("main", attack, "off") for attack in NO_SANDBOX]
        how = {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            for (thread, attack, sandbox), code, text, whole in pool.map(one, jobs):
                if sandbox == "off":
                    if code != WORKED:
                        failures.append(f"{attack} without the sandbox: exit status {code}, it is no attack: {text}")
                    continue
                wrong, detail = judge(thread, attack, code, text)
                if wrong or not whole:
                    failures.append(f"{attack} on {thread}: {wrong or 'the file has changed'}: {detail}")
                how.setdefault(attack, {})[thread] = detail if not wrong else "WORKED"
        for leftover in ("/tmp/paisano-subverted",):
            if os.path.exists(leftover):
                failures.append(f"{leftover} was made")
    for attack, _ in attacks:
        by_detail = {}
        for thread, detail in how.get(attack, {}).items():
            by_detail.setdefault(detail, []).append(thread)
        print(f"{attack:20s} " + "; ".join(f"{detail} ({', '.join(threads)})" for detail, threads in by_detail.items()))
    for failure in failures:
        print("FAILED:", failure)
    print(f"{len(jobs) - len(failures)} of {len(jobs)} as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
