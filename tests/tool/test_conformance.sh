#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ONNX's backend test cases: Debian's (libonnx-testdata) and, where it is there, the
# newer set. Every case whose ops the library has must pass.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
debian=${MLS_TEST_ONNX:-/usr/share/libonnx-testdata/data}
newest=${MLS_TEST_DATA:-$top/../shared/data}/onnx

# verify_set LABEL LEAST-PASSED DIR...
verify_set() {
    label=$1
    least=$2
    shift 2
    exits "$label: no case fails" 0 verify "$@"
    sed 's/^/# /' "$scratch/out"
    passed=$(sed -n 's/^\([0-9]*\) passed.*/\1/p' "$scratch/out")
    [ "${passed:-0}" -ge "$least" ]
    result "$label: at least $least pass" $?
}

if [ -d "$debian/node" ]; then
    verify_set "libonnx-testdata" 1057 "$debian"
else
    echo "# there is no libonnx-testdata in $debian: skipped"
fi
archive=$(find "$newest" -name 'onnx-backend-data-*.tar.zst' 2>/dev/null | sort | tail -n 1)
if [ -n "$archive" ] && command -v zstd >/dev/null; then
    zstd -qdc --long=26 "$archive" | tar -x -C "$scratch"
    verify_set "$(basename "$archive" .tar.zst)" 1871 "$scratch"/onnx-v*
else
    echo "# there is no newer ONNX test data in $newest: skipped"
fi
if [ $tests = 0 ]; then
    tests=1
    echo "ok 1 # SKIP no test data"
fi
tap_end
