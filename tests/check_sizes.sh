#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No file past 800 lines and no function past 80. tests/sizes.exempt lists what is
# excused, with its reason; an entry that is no longer needed is an error, so the list
# only shrinks.
set -u
cd "${abs_top_srcdir:-.}" || exit 1
exempt=tests/sizes.exempt
folders=$(ls -d src tools include bench tests examples 2>/dev/null)

# A function begins at a line of column 0 that ends in ')' or holds its name, and is
# open from a '{' in column 0 to a '}' in column 0. One pass over all files: it takes no time.
long_ones() {
    # shellcheck disable=SC2086,SC2016 # a list of words; the dollars are awk's
    find $folders -name '*.[ch]' -o -name '*.cpp' | sort | xargs awk '
        FNR == 1 { close_file(); file = FILENAME; start = 0 }
        { lines = FNR }
        file ~ /\.c$/ && /^[A-Za-z_].*\(/ {
            name = $0
            sub(/\(.*/, "", name)
            sub(/.*[ *]/, "", name)
        }
        file ~ /\.c$/ && /^\{/ { start = FNR }
        /^\}/ && start { if (FNR - start > 80) print file ":" name, FNR - start; start = 0 }
        END { close_file() }
        function close_file() { if (lines > 800) print file, lines; lines = 0 }'
}

found=$(long_ones)
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
