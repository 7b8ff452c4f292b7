#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shared library against the committed description of its ABI (docs/abi.md).
#
#   tests/check_abi.sh renew    writes the description again
set -u
top=${abs_top_srcdir:-$PWD}
library=${abs_top_builddir:-$PWD/build}/.libs/libmlscale.so
baseline=$top/tests/abi/libmlscale.$(uname -m).abi

# Of exported functions and the types that the public headers define: others are ours to change.
describe() {
    abidw --suppressions "$top/tests/abi/opaque.suppr" --exported-interfaces-only \
        --drop-private-types --headers-dir "$top/include" \
        --no-corpus-path --no-comp-dir-path --no-show-locs "$library"
}

if [ "${1:-}" = renew ]; then
    describe >"$baseline"
    exit
fi

echo 1..1
if ! command -v abidiff >/dev/null; then
    echo "ok 1 # SKIP there is no abidiff"
elif [ ! -f "$baseline" ]; then
    echo "ok 1 # SKIP there is no description for $(uname -m)"
elif nm "$library" 2>/dev/null | grep -qE '__(asan|tsan)_init'; then
    echo "ok 1 # SKIP sanitizers change the library"
elif ! readelf -S "$library" | grep -q debug_info; then
    echo "ok 1 # SKIP the library has no debug information"
elif now=$(mktemp) && describe >"$now" && output=$(abidiff "$baseline" "$now" 2>&1); then
    echo "ok 1 - the ABI is the described one"
else
    echo "${output:-}" | sed 's/^/# /'
    echo "not ok 1 - the ABI differs; if that is meant: tests/check_abi.sh renew"
fi
rm -f "${now:-}"
