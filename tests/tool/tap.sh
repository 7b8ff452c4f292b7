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

tap_end() {
    echo "1..$tests"
}
