#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs must end as they should with each of the translator's switches off, and with all of them off.
# usage: options.sh PAISANO INSN-RUN DIFF SOURCES ELVES
set -u
paisano=$1 run=$2 diff=$3 sources=$4 elves=$5
failed=0
names=$("$paisano" -jit help | awk '$1 != "all" && $2 == "on" { print $1 }')
[ "$(echo "$names" | wc -l)" -ge 10 ] || { echo "-jit help lists too few switches: $names"; exit 1; }

for name in all $names; do
	for program in work64 work32 long smc rep exceptions int_shadow real; do
		"$run" --jit --options "$name=off" "$sources/$program.S" "$elves/$program.elf" || {
			echo "$program fails with $name=off"
			failed=1
		}
	done
	"$diff" --jit "$name=off" --seed 3 --count 60000 --length 4000 >/dev/null || {
		echo "random programs: a difference with $name=off; again with: diff --jit $name=off --seed 3 --count 60000 --length 4000"
		failed=1
	}
done
# and be what they were while the interpreter looks over the translator's shoulder
for program in work64 work32 paging32 exceptions smc rep real; do
	"$run" --jit --options check,warm=1 "$sources/$program.S" "$elves/$program.elf" || {
		echo "$program fails with check"
		failed=1
	}
done
"$paisano" -jit windws=off 2>&1 | grep -q "did you mean 'windows'" || { echo "a misspelled switch is not explained"; failed=1; }
exit $failed
