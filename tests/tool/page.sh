# SPDX-License-Identifier: Apache-2.0
# The commands that a page of docs/ shows, run in the order of the page in one shell.
# shellcheck shell=sh disable=SC2154 # scratch is of tap.sh

# page_commands PAGE FOLDER: the lines behind "    $ " as FOLDER/N.sh, with those that a backslash
# goes on to, and the indented lines below them as FOLDER/N.say
page_commands() {
    awk -v folder="$2" '
        /^    \$ / { n++; place = folder "/" n; goes_on = 1; sub(/^    \$ /, "    ") }
        !/^    / { place = "" }
        place == "" { next }
        { text = substr($0, 5); print text >(place (goes_on ? ".sh" : ".say"))
          goes_on = goes_on && text ~ /\\$/ }
        END { print n + 0 }' "$1"
}

# as_told FILE: the command's output has these lines, of which "..." may be anything
as_told() {
    while IFS= read -r line; do
        grep -F -- "${line%%...*}" "$scratch/out" | grep -qF -- "${line##*...}" || return 1
    done <"$1"
}

# page_runs PAGE: each command ends well, or says what the page says that it does
page_runs() {
    rm -rf "$scratch/page"
    mkdir "$scratch/page"
    page_count=$(page_commands "$1" "$scratch/page")
    [ "$page_count" -gt 0 ]
    result "$(basename "$1") has commands" $?
    page_number=0
    while [ $page_number -lt "$page_count" ]; do
        page_number=$((page_number + 1))
        page_command=$(cat "$scratch/page/$page_number.sh")
        # In this shell, since a later command may need what this one exports.
        eval "$page_command" >"$scratch/out" 2>&1 </dev/null
        page_code=$?
        if [ -f "$scratch/page/$page_number.say" ]; then
            as_told "$scratch/page/$page_number.say"
        else
            [ $page_code = 0 ]
        fi
        result "$(basename "$1"): $(head -n 1 "$scratch/page/$page_number.sh")" $?
    done
}
