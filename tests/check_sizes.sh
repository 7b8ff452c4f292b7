#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No file past 800 lines and no function past 80. tests/sizes.exempt lists what is
# excused, with its reason; an entry that is no longer needed is an error, so the list
# only shrinks.
set -u
cd "${abs_top_srcdir:-.}" || exit 1
exempt=tests/sizes.exempt
folders=$(ls -d src tools include bench tests examples 2>/dev/null)

long_files() {
    # shellcheck disable=SC2086 # a list of words
    find $folders -name '*.[ch]' -o -name '*.cpp' | sort |
        while read -r file; do
            lines=$(wc -l <"$file")
            [ "$lines" -le 800 ] || echo "$file $lines"
        done
}

# A function begins at a line of column 0 that ends in ')' or holds its name, and is
# open from a '{' in column 0 to a '}' in column 0.
long_functions() {
    # shellcheck disable=SC2086
    find $folders -name '*.c' | sort | while read -r file; do
        awk -v file="$file" '
            /^[A-Za-z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
            /^\{/ { start = NR }
            /^\}/ && start { if (NR - start > 80) print file ":" name, NR - start; start = 0 }
        ' "$file"
    done
}

found=$(long_files; long_functions)
bad=0
while read -r what lines; do
    [ -n "$what" ] || continue
    grep -q "^$what " "$exempt" && continue
    echo "# $what has $lines lines"
    bad=1
done <<EOF
$found
EOF
while read -r what reason; do
    case $what in '' | '#'*) continue ;; esac
    echo "$found" | grep -q "^$what " && continue
    echo "# $exempt: $what needs no exemption any more ($reason)"
    bad=1
done <"$exempt"

echo 1..1
[ $bad = 0 ] && echo "ok 1 - sizes" || echo "not ok 1 - sizes"
