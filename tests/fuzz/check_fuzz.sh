#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fuzz targets take their seeds, and all that they once failed on (corpus/).
set -u
seeds=$(mktemp -d) || exit 1
trap 'rm -rf "$seeds"' EXIT
"${abs_top_builddir:?}/tests/fuzz/make_corpus" "$seeds" || exit 1

echo 1..2
number=0
for target in onnx graph; do
    number=$((number + 1))
    # shellcheck disable=SC2046 # a list of files
    if "${abs_top_builddir:?}/tests/fuzz/replay_$target" $(find "$seeds" \
        "${abs_top_srcdir:?}/tests/fuzz/corpus/onnx" -type f); then
        echo "ok $number - fuzz_$target"
    else
        echo "not ok $number - fuzz_$target"
    fi
done
