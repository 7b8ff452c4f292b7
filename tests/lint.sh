#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ./dev lint looks at besides a second compiler's warnings: format and shell.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

sources=$(git ls-files '*.c' '*.h' '*.cpp' 2>/dev/null)
[ -n "$sources" ] || sources=$(find src include tools tests bench examples -name '*.[ch]' -o -name '*.cpp')
# shellcheck disable=SC2086 # lists of words
if ! echo $sources | xargs -n 40 clang-format --dry-run -Werror; then
    echo "lint: format them with: clang-format -i FILE..." >&2
    failed=1
fi
# shellcheck disable=SC2046
scripts=$(grep -lE '^#!/bin/(sh|bash)' dev .ci/run $(git ls-files '*.sh' 2>/dev/null || find . -name '*.sh'))
# shellcheck disable=SC2086
shellcheck -x $scripts || failed=1
[ $failed = 0 ] && echo "lint: no faults"
exit $failed
