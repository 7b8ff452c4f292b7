#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The headers, the version script and the shared library name the same functions.
set -u
srcdir=${abs_top_srcdir:-.}
builddir=${abs_top_builddir:-build}
library=$builddir/.libs/libmlscale.so

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Declarations marked MLS_API; comments are dropped first, lines joined.
cat "$srcdir"/include/mlscale/*.h | tr '\n' ' ' | sed 's|/\*|\n/*|g; s|\*/|*/\n|g' |
    grep -v '^/\*' | tr '\n' ' ' | sed 's/MLS_API/\nMLS_API/g' |
    sed -n 's/^MLS_API[^(;]*[ *]\(mls_[a-z0-9_]*\)(.*/\1/p' | sort -u >"$scratch/headers"
sed -n 's/^ *\(mls_[a-z0-9_]*\);$/\1/p' "$srcdir/src/libmlscale.map" | sort >"$scratch/map"
nm -D --defined-only "$library" | awk '$2 ~ /[TDBR]/ {sub(/@.*/, "", $3); print $3}' |
    sort -u >"$scratch/library"

same() {
    if diff "$scratch/$1" "$scratch/$2" >"$scratch/diff"; then
        echo "ok $3 - $1 and $2 agree"
    else
        sed 's/^/# /' "$scratch/diff"
        echo "not ok $3 - $1 and $2 agree (< only in $1, > only in $2)"
    fi
}

echo 1..2
same headers map 1
same map library 2
