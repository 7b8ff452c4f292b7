#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Scores the example series with both example models through the job queue, and checks
# the scores against those of the libraries that trained the models.
#
#   examples/demo.sh BUILD-DIRECTORY
set -eu
build=$(cd "${1:-build}" && pwd)
cd "$(dirname "$0")"
out=$build/demo
mkdir -p "$out"

# compare SCORES REFERENCE: both with a line of names; the score is the last field
compare() {
    paste -d, "$1" "$2" | awk -F, '
        NR > 1 {
            difference = $1 - $NF
            if (difference < 0) difference = -difference
            size = $NF < 0 ? -$NF : $NF
            if (size < 1) size = 1
            if (NF < 3 || !(difference <= 1e-5 * size)) bad++
            if (difference / size > most) most = difference / size
        }
        END {
            if (NR < 2 || bad) { printf "%d of %d scores differ from the reference\n", bad, NR - 1; exit 1 }
            printf "all %d scores agree with the reference (largest difference %.1e)\n", NR - 1, most
        }'
}

for model in volatility_trees volatility_mlp; do
    echo "== $model"
    "$build/mlscale" score "models/$model.onnx" --input data/features.csv \
        --output "$out/$model.csv" --workers 2
    compare "$out/$model.csv" "models/$model.reference.csv"
    echo "scores: $out/$model.csv"
    echo
done
