#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Calls go down only: which folder of src/ may include which. docs/architecture.md says why.
set -eu
cd "${abs_top_srcdir:-.}" || exit 1

# folder: the folders it may include besides itself. Drivers see no graph and no other driver.
allowed='
base:
tensor: base
op: base tensor
plugin: base
graph: base tensor op plugin
onnx: base tensor op graph
exec: base tensor op plugin graph
job: base plugin
job_types: base job
backend/cpu: base tensor op
queue/memory: base
queue/durable:
queue/sqlite: base queue/durable
queue/postgres: queue/durable
'

folder_of() {
    case $1 in
    backend/* | queue/* | transport/*) echo "$1" | cut -d/ -f1-2 ;;
    *) echo "${1%%/*}" ;;
    esac
}

bad=0
for file in $(find src -name '*.[ch]' | sort); do
    from=$(folder_of "${file#src/}")
    if ! echo "$allowed" | grep -q "^$from:"; then
        echo "# $file: folder '$from' has no row in tests/check_layers.sh"
        bad=1
        continue
    fi
    may=$(echo "$allowed" | sed -n "s|^$from:||p")
    # shellcheck disable=SC2013 # names of headers have no spaces
    for include in $(sed -n 's|^# *include "\([^"]*/[^"]*\)".*|\1|p' "$file"); do
        case $include in proto/*) continue ;; esac
        to=$(folder_of "$include")
        case " $from $may " in *" $to "*) continue ;; esac
        echo "# $file includes \"$include\": $from may include only:$may"
        bad=1
    done
done

echo 1..1
[ $bad = 0 ] && echo "ok 1 - includes go down only" || echo "not ok 1 - includes go down only"
