#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The conformance suite under mpirun of Open MPI and of MPICH, whichever there are. More ranks than
# processors: Open MPI wants to be told, and so it does where root runs it.
set -u
cd "${abs_top_builddir:?}/tests/conformance/transport" || exit 1
MLSCALE_DRIVERS=$abs_top_builddir/.libs
CK_TAP_LOG_FILE_NAME=-
# MPI's own leaks are not ours to find.
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
export MLSCALE_DRIVERS CK_TAP_LOG_FILE_NAME ASAN_OPTIONS
unset MLSCALE_RANK MLSCALE_SIZE MLSCALE_GROUP MLSCALE_GROUP_TOKEN
out=$(mktemp)
trap 'rm -f "$out"' EXIT
count=0

# report NAME STATUS
report() {
    count=$((count + 1))
    if [ "$2" = 0 ]; then
        echo "ok $count - $1"
    else
        grep -v '^ok' "$out" | sed 's/^/# /'
        echo "not ok $count - $1"
    fi
}

# launch KIND RANKS COMMAND...
launch() {
    kind=$1
    ranks=$2
    shift 2
    if [ "$kind" = openmpi ]; then
        set -- mpirun.openmpi --allow-run-as-root --oversubscribe --mca rmaps_base_oversubscribe 1 \
            --mca mpi_yield_when_idle 1 -n "$ranks" "$@"
    else
        set -- mpirun.mpich -n "$ranks" "$@"
    fi
    timeout 300 "$@" >"$out" 2>&1 </dev/null
}

# MPICH's ranks never give up the processor while they wait, and 8 of them take minutes of two. The
# module is the same source for both.
many_ranks() {
    if [ "$1" = mpich ]; then
        for ranks in 7 8; do
            count=$((count + 1))
            echo "ok $count - $1: $ranks ranks # SKIP they wait for each other's processors"
        done
        return
    fi
    launch "$1" 7 "./test_$1" mpi: results
    report "$1: 7 ranks get what MPI gives" $?
    launch "$1" 8 "./test_$1" mpi: values
    report "$1: 1 to 8 ranks compute and move the same" $?
}

echo 1..16
for kind in openmpi mpich; do
    if [ ! -x "./test_$kind" ] || ! command -v "mpirun.$kind" >/dev/null 2>&1; then
        for count in $(seq $((count + 1)) $((count + 8))); do
            echo "ok $count # SKIP there is no mpirun.$kind, or it was not built for it"
        done
        continue
    fi
    launch "$kind" 4 "./test_$kind" mpi:
    report "$kind: 4 ranks conform" $?
    launch "$kind" 2 "./test_$kind" "$kind:"
    report "$kind: 2 ranks conform" $?
    many_ranks "$kind"
    launch "$kind" 2 "./test_$kind" mpi: single
    report "$kind: MPI for one thread is refused" $?
    launch "$kind" 2 "./test_$kind" mpi: serialized
    report "$kind: MPI for one thread at a time does" $?
    launch "$kind" 3 ./mpi_launched
    report "$kind: a program that knows of no MPI is launched" $?
    timeout 300 ./mpi_launched "$kind:" >"$out" 2>&1
    report "$kind: alone, without a daemon" $?
done
