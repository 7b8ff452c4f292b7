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
group: base tensor plugin
sharded: base tensor plugin op group
transport/shared:
transport/inproc: base transport/shared
transport/shm: base transport/shared
transport/tcp: base transport/shared
transport/mpi: transport/shared
transport/nccl:
'

# One pass over all files: a shell that runs a program for each include takes seconds.
export allowed
# shellcheck disable=SC2016 # the dollars are awk's
find src -name '*.[ch]' | sort | xargs awk '
function folder_of(path) {
    split(path, part, "/")
    return part[1] ~ /^(backend|queue|transport)$/ ? part[1] "/" part[2] : part[1]
}
BEGIN {
    for (i = split(ENVIRON["allowed"], row, "\n"); i > 0; i--)
        if (split(row[i], half, ":") == 2)
            may[half[1]] = half[2] " "
}
FNR == 1 {
    from = folder_of(substr(FILENAME, length("src/") + 1))
    if (!(from in may)) {
        print "# " FILENAME ": folder \047" from "\047 has no row in tests/check_layers.sh"
        bad = 1
    }
}
(from in may) && match($0, /^# *include "[^"]*\/[^"]*"/) {
    header = substr($0, RSTART, RLENGTH)
    gsub(/^[^"]*"|"$/, "", header)
    to = folder_of(header)
    if (to == "proto" || to == from || index(may[from], " " to " "))
        next
    print "# " FILENAME " includes \"" header "\": " from " may include only:" may[from]
    bad = 1
}
END {
    print "1..1"
    print (bad ? "not ok" : "ok") " 1 - includes go down only"
}'
