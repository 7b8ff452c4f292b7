# SPDX-License-Identifier: Apache-2.0
# What the tests of the command share. Each sources this file, calls the functions, and
# ends with tap_end.
# shellcheck shell=sh disable=SC2034
set -u
top=${abs_top_srcdir:-$PWD}
mlscale=${abs_top_builddir:-$PWD/build}/mlscale
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tests=0

# result LABEL STATUS: a line of TAP; the last output is shown when it failed
result() {
    tests=$((tests + 1))
    if [ "$2" = 0 ]; then
        echo "ok $tests - $1"
    else
        sed 's/^/# /' "$scratch/out" "$scratch/err" 2>/dev/null
        echo "not ok $tests - $1"
    fi
}

# exits LABEL CODE ARGS...: the command with these arguments ends with this code
exits() {
    label=$1
    code=$2
    shift 2
    "$mlscale" "$@" >"$scratch/out" 2>"$scratch/err"
    [ $? = "$code" ]
    result "$label" $?
}

# says LABEL out|err TEXT: the last command's output has this text
says() {
    grep -qF -- "$3" "$scratch/$2"
    result "$1" $?
}

# holds LABEL COMMAND...: the command succeeds
holds() {
    label=$1
    shift
    "$@" >"$scratch/out" 2>"$scratch/err"
    result "$label" $?
}

# hear PIPE COUNT: waits for so many lines in a pipe that the test holds open, a minute at most
hear() {
    # shellcheck disable=SC2016 # the inner shell expands it
    timeout 60 sh -c 'for _ in $(seq "$1"); do read -r _ || exit 1; done' - "$2" <"$1"
}

# watch_over PIPE: begins to watch those that open the pipe to write; `wait $watch` then waits until
# the last of them has ended, a minute at most
watch_over() {
    timeout 60 cat "$1" >/dev/null &
    watch=$!
}

tap_end() {
    echo "1..$tests"
}
