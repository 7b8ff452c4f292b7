#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs/operators.md is what the op table says.
set -u
page=${abs_top_srcdir:-$PWD}/docs/operators.md

echo 1..1
if faults=$("${abs_top_builddir:-$PWD/build}/tests/list_operators" | diff "$page" - 2>&1); then
    echo "ok 1 - docs/operators.md is the op table"
else
    echo "$faults" | sed 's/^/# /'
    echo "not ok 1 - write docs/operators.md again: tests/list_operators > docs/operators.md"
fi
