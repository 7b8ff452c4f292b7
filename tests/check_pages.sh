#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual: pages of section 3 are what the headers make of them, every exported
# function is on one of them, mlscale(1) has every command and option, and mandoc finds no fault.
set -u
top=${abs_top_srcdir:-$PWD}
builddir=${abs_top_builddir:-$PWD/build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# result NUMBER LABEL FILE-OF-FAULTS
result() {
    if [ -s "$3" ]; then
        sed 's/^/# /' "$3"
        echo "not ok $1 - $2"
    else
        echo "ok $1 - $2"
    fi
}

echo 1..4
if command -v python3 >/dev/null; then
    mkdir "$scratch/pages"
    python3 "$top/man/make_pages.py" "$scratch/pages"
    for page in "$scratch"/pages/*.3; do
        cmp "$page" "$top/man/$(basename "$page")"
    done >"$scratch/stale" 2>&1
    result 1 "pages are made from the headers (man/make_pages.py makes them again)" "$scratch/stale"
else
    echo "ok 1 # SKIP there is no python3 to make the pages again"
fi

sed -n 's/^ *\(mls_[a-z0-9_]*\);$/\1/p' "$top/src/libmlscale.map" | while read -r name; do
    count=$(grep -lxE "\.Nm $name( ,)?" "$top"/man/*.3 | wc -l)
    [ "$count" = 1 ] || echo "$name is on $count pages"
done >"$scratch/missing"
result 2 "every exported function has its page" "$scratch/missing"

# commands WORDS: those that the help of a group, or of all, lists
commands() {
    # shellcheck disable=SC2086 # words
    "$builddir/mlscale" $1 --help | sed -n 's/^  \([a-z][a-z]*\)   *[^ ].*/\1/p'
}

{
    commands '' | grep -vx 'queue\|launch'
    commands queue | sed 's/^/queue /'
} >"$scratch/commands"
sed -n '/^.Sh SYNOPSIS/,/^.Sh DESCRIPTION/s/^\.Cm //p' "$top/man/mlscale.1" |
    grep -o '[a-z]*' >"$scratch/synopsis"
while read -r command; do
    grep -qx "${command##* }" "$scratch/synopsis" ||
        echo "mlscale $command is not in the synopsis of mlscale(1)"
    # shellcheck disable=SC2086 # a group's command is two words
    "$builddir/mlscale" $command --help | sed -n 's/^  --\([a-z-]*\).*/\1/p' |
        while read -r option; do
            [ "$option" = help ] || sed -n "/^.Ss mlscale $command/,/^.S[sh] /p" "$top/man/mlscale.1" |
                grep -q -- "Fl -$option" || echo "mlscale $command --$option is not in mlscale(1)"
        done
    sed -n "/^.Ss mlscale $command/,/^.El/p" "$top/man/mlscale.1" | grep -q . ||
        echo "mlscale(1) has no section on $command"
done <"$scratch/commands" >"$scratch/options"
[ "$(wc -l <"$scratch/commands")" -gt 20 ] || echo "the help lists no commands" >>"$scratch/options"
for command in 'launch launch' 'bench bench group'; do
    page=mlscale-${command%% *}
    # shellcheck disable=SC2086 # words
    "$builddir/mlscale" ${command#* } --help | sed -n 's/^  -*\([a-z-]*\)  *[A-Za-z].*/\1/p' |
        while read -r option; do
            case $option in ?) ;; help) continue ;; *) option=-$option ;; esac
            grep -q -- "^.It Fl $option\b" "$top/man/$page.1" ||
                echo "mlscale ${command#* } -$option is not in $page(1)"
        done
done >>"$scratch/options"
result 3 "mlscale(1) has every command and option" "$scratch/options"

if command -v mandoc >/dev/null; then
    for page in "$top"/man/*.[135]; do
        mandoc -Tlint "$page"
    done | while read -r line; do
        # Pages refer to each other before they are installed.
        name=$(echo "$line" | sed -n 's/.*referenced manual not found: Xr \([a-z_-]*\) \([0-9]\).*/\1.\2/p')
        [ -n "$name" ] && [ -f "$top/man/$name" ] || echo "$line"
    done >"$scratch/lint"
    result 4 "mandoc finds no fault" "$scratch/lint"
else
    echo "ok 4 # SKIP there is no mandoc"
fi
