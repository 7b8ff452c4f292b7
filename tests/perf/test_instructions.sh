#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How many instructions a run of each small model takes, against the committed table. Unlike
# time this does not depend on the machine or on what else runs on it, so 3 % more is a fault.
#
#   tests/perf/test_instructions.sh renew    writes the table again
set -u
top=${abs_top_srcdir:-$PWD}
program=${abs_top_builddir:-$PWD/build}/tests/perf/instructions
table=$top/tests/perf/instructions.tsv
percent=3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Valgrind knows no AVX-512. Symbols are bound before the first run, outside of what counts.
export MLS_ISA=avx2 LD_BIND_NOW=1

# count MODEL RUNS: the instructions of a run, on standard output
count() {
    valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        --toggle-collect=mls_session_run "$program" "$1" >"$scratch/log" 2>&1 || return
    total=$(sed -n 's/^totals: \([0-9]*\).*/\1/p' "$scratch/out")
    [ "${total:-0}" -gt 0 ] && echo $((total / $2))
}

skip() {
    echo "1..1"
    echo "ok 1 # SKIP $1"
    exit 0
}

renew() {
    {
        echo "# Instructions of a run with MLS_ISA=avx2; tests/perf/test_instructions.sh renew"
        echo "# compiler: $compiler"
        "$program" --list | while read -r model runs; do
            instructions=$(count "$model" "$runs") || exit 1
            printf '%s\t%s\n' "$model" "$instructions"
        done
    } >"$scratch/table" && cp "$scratch/table" "$table"
}

# compare MODEL EXPECTED GOT: a line of TAP
compare() {
    number=$((number + 1))
    if [ $(($3 * 100)) -gt $(($2 * (100 + percent))) ]; then
        echo "# $1: $3 instructions a run; the table has $2. If that is meant:" \
            "tests/perf/test_instructions.sh renew"
        echo "not ok $number - $1 takes no more instructions"
        return
    fi
    if [ $(($3 * 100)) -lt $(($2 * (100 - percent))) ]; then
        echo "# $1: $3 instructions a run; the table has $2:" \
            "keep the gain with tests/perf/test_instructions.sh renew"
    fi
    echo "ok $number - $1 takes no more instructions"
}

command -v valgrind >/dev/null || skip "there is no valgrind"
compiler=$("$program" --compiler | sed 's/ *$//')
if [ "${1:-}" = renew ]; then
    renew
    exit
fi
expected=$(sed -n 's/^# compiler: //p' "$table")
[ "$compiler" = "$expected" ] || skip "built with $compiler; the table is of $expected"
valgrind -q --tool=none "$program" add >"$scratch/log" 2>&1
[ $? != 77 ] || skip "$(cat "$scratch/log")"

number=0
"$program" --list >"$scratch/models"
echo "1..$(wc -l <"$scratch/models")"
while read -r model runs; do
    want=$(awk -v model="$model" '$1 == model { print $2 }' "$table")
    if got=$(count "$model" "$runs") && [ -n "$want" ]; then
        compare "$model" "$want" "$got"
    else
        number=$((number + 1))
        sed 's/^/# /' "$scratch/log"
        echo "not ok $number - $model is counted and has a row in the table"
    fi
done <"$scratch/models"
