#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fuzz targets take their seeds, and all that they once failed on (corpus/).
set -u
seeds=$(mktemp -d) || exit 1
trap 'rm -rf "$seeds"' EXIT
"${abs_top_builddir:?}/tests/fuzz/make_corpus" "$seeds" || exit 1

echo 1..11
number=0
# target:kind of input
for pair in onnx:onnx graph:onnx types:types rows:rows cron:cron tcp:tcp \
    group:group ops:ops sharded:sharded shm:shm payload:payload; do
    number=$((number + 1))
    target=${pair%:*}
    replay=${abs_top_builddir:?}/tests/fuzz/replay_$target
    if [ ! -x "$replay" ]; then
        echo "ok $number - fuzz_$target # SKIP the library is built without what it needs"
        continue
    fi
    # shellcheck disable=SC2046 # a list of files
    if "$replay" $(find "$seeds/${pair#*:}" "${abs_top_srcdir:?}/tests/fuzz/corpus/${pair#*:}" \
        -type f); then
        echo "ok $number - fuzz_$target"
    else
        echo "not ok $number - fuzz_$target"
    fi
done
