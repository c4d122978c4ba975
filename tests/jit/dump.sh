#!/bin/sh
# SPDX-License-Identifier: MIT
# -d op,out_asm shows what becomes of a loop, and -jit perfmap where its code lies: at the same address.
# usage: dump.sh PAISANO LOOP.elf
set -u
paisano=$1 loop=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# until the loop has run as translated: for long, if the host is busy
mkfifo "$tmp/monitor"
"$paisano" -display none -monitor stdio -serial none -accel jit -jit warm=2,perfmap -d op,out_asm -D "$tmp/log" -m 256M \
	-kernel "$loop" -append s -timeout 600 <"$tmp/monitor" >"$tmp/said" 2>&1 &
pid=$!
exec 3>"$tmp/monitor"
while kill -0 $pid 2>/dev/null && ! grep -q ' kernel [0-9a-f]* slow$' "/tmp/perf-$pid.map" 2>/dev/null; do
	sleep 0.1
done
echo quit >&3
wait $pid || { cat "$tmp/said"; exit 1; }
mv "/tmp/perf-$pid.map" "$tmp/map" || exit 1

failed=0
need() { # FILE, what it must contain
	grep -Eq -- "$2" "$tmp/$1" || { echo "$1: no line with $2"; failed=1; }
}
need log '^OP [0-9a-f]{16}: [0-9]+ instructions in [0-9]+ blocks'
need log '^  [0-9a-f]{16}  .* flags (rax|eflags|both)'
need log '^  [0-9a-f]{16}  lodsb .* flags rax     interpreted'
need log '^OUT [0-9a-f]{16}: [0-9]+ bytes'
need log '^    [0-9a-f]{12}  lahf'
need log '; kick$'
need log '; one$'
need log '^  slow paths'
need map ' jit stubs$'
need map '^[0-9a-f]+ [0-9a-f]+ kernel [0-9a-f]+ slow$'
grep -q 'cannot be disassembled' "$tmp/log" && { echo "host code that is none"; failed=1; }
# the first translation: its first instruction in one, where it begins in the other
begins=$(sed -n '2s/ .*//p' "$tmp/map")
shown=$(awk '/^OUT/ { getline; print $1; exit }' "$tmp/log")
[ "$begins" = "$shown" ] || { echo "the map says $begins, the listing $shown"; failed=1; }
exit $failed
