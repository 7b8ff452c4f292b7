#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale bench group: each operation, the formulas of bandwidths, threads and processes.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
quick='--seconds 0.001'

# value KEY LINE: of the JSON of the last command, where there are several
value() {
    sed -n "s/^ *\"$1\": \\([0-9.e+-]*\\),*$/\\1/p" "$scratch/out" | sed -n "$2p"
}

# bus LABEL OP RATIO: the bus bandwidth of 4 ranks over the algorithm bandwidth
bus() {
    # shellcheck disable=SC2086 # words
    exits "$1: $2" 0 bench group -n 4 --op "$2" --min-bytes 65536 --max-bytes 131072 $quick --json
    echo "$(value bus_bytes_per_second 2) $(value algorithm_bytes_per_second 2) $3 $(value bytes 2)" |
        awk '{ ratio = $1 / $2 / $3; exit !(ratio > 0.9999 && ratio < 1.0001 && $4 == 131072) }'
    result "its bus bandwidth is $3 of the algorithm's" $?
    says "and a share of the limit" out '"share_of_limit"'
}
bus "is measured" allreduce 1.5
bus "is measured" reduce 1
bus "is measured" reduce_scatter 0.75
bus "is measured" broadcast 1
bus "is measured" gather 0.75
bus "is measured" allgather 0.75
bus "is measured" scatter 0.75
bus "is measured" all_to_all 0.75

# shellcheck disable=SC2086
exits "sizes are those that were asked for" 0 bench group --min-bytes 100 --max-bytes 2000 $quick
awk 'NR > 3 { printf "%s ", $1 }' "$scratch/out" >"$scratch/sizes"
grep -qxF "100 400 1600 2000 " "$scratch/sizes"
result "four times each, and the last one" $?
# shellcheck disable=SC2086
exits "sizes are of whole elements" 0 bench group --min-bytes 7 --max-bytes 18 $quick
awk 'NR > 3 { printf "%s ", $1 }' "$scratch/out" >"$scratch/sizes"
grep -qxF "4 16 " "$scratch/sizes"
result "less than what was asked for" $?
says "what is added up is said to be" out "allreduce of float32, sum, 2 ranks"
# shellcheck disable=SC2086
exits "what only moves" 0 bench group --op all_to_all --max-bytes 64 $quick
says "is not" out "all_to_all of float32, 2 ranks"
# shellcheck disable=SC2086
exits "tensors may be ordinary ones" 0 bench group --ordinary --max-bytes 64 $quick
# shellcheck disable=SC2086
exits "one rank is enough" 0 bench group -n 1 --max-bytes 64 $quick
# shellcheck disable=SC2086
exits "a program alone has ranks of its own" 0 bench group --transport inproc:own --max-bytes 64 $quick
says "which meet by the URL" out "2 ranks, inproc:own"
for transport in shm tcp; do
    # shellcheck disable=SC2086
    "$mlscale" bench group --transport $transport -n 2 --max-bytes 100000 $quick \
        >"$scratch/out" 2>"$scratch/err"
    code=$?
    if grep -q "there is no transport" "$scratch/err"; then
        echo "# $transport is left out: it is not there"
        continue
    fi
    [ $code = 0 ]
    result "processes meet by $transport" $?
    says "two of them" out "2 ranks, $transport:"
    # shellcheck disable=SC2086
    exits "as many as are asked for" 0 bench group --transport $transport -n 3 --max-bytes 16 $quick
    says "are started" out "3 ranks, $transport:"
    # shellcheck disable=SC2086
    exits "and those that were launched" 0 launch -n 3 --transport $transport --no-prefix -- \
        "$mlscale" bench group --max-bytes 64 $quick
    says "three of them" out "3 ranks, $transport:"
    [ $transport = tcp ] || continue
    # shellcheck disable=SC2086
    exits "encryption can be left out" 0 bench group --transport tcp --no-encryption --max-bytes 16 $quick
    says "which the URL says" out "?encrypt=off"
done
exits "no such operation" 2 bench group --op alltoall
says "names those there are" err "expected allreduce, reduce"
exits "no such transport" 2 bench group --transport carrier-pigeon
says "tells who needs none" err "ranks that mlscale launch, mpirun or srun starts need none"
exits "no such URL" 1 bench group --transport pigeon:x
exits "no ranks" 2 bench group -n 0
says "of the option as it is written" err " -n 0: expected"
exits "a number of ranks that were launched" 2 launch -n 2 --no-prefix -- \
    "$mlscale" bench group -n 3 --max-bytes 16
says "is theirs already" err "-n 3: this is a rank of a group that was launched"
exits "nothing is encrypted between threads" 2 bench group --no-encryption --max-bytes 16
says "and where it is, that is said" err "--no-encryption is for --transport tcp"
exits "the first size is no more than the last" 2 bench group --min-bytes 64 --max-bytes 8
says "which are named" err "the first size, 64 bytes, is more than the last, 8"
exits "the command's help" 0 --help
says "names this" out "bench group"
tap_end
