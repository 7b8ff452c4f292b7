#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, as C11 and as C++17, without a warning.
set -u
cd "${abs_top_srcdir:-.}" || exit 1
flags='-Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only'

headers=$(cd include && find . -name '*.h' | sort | sed 's|^\./||')
echo "1..$(($(echo "$headers" | wc -l) * 2))"
number=0

# compile LABEL COMMAND...: the header in $header, included alone
compile() {
    label=$1
    shift
    number=$((number + 1))
    if output=$(printf '#include <%s>\n' "$header" | "$@" - 2>&1); then
        echo "ok $number - $header as $label"
    else
        echo "$output" | sed 's/^/# /'
        echo "not ok $number - $header as $label"
    fi
}

for header in $headers; do
    # shellcheck disable=SC2086 # lists of words
    compile C11 ${CC:-cc} -std=c11 -x c $flags
    # shellcheck disable=SC2086
    compile C++17 ${CXX:-c++} -std=c++17 -x c++ $flags
done
