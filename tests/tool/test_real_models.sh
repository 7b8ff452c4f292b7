#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Real models and ONNX's light topologies against the outputs that came with them, and against
# themselves on other instruction sets and with more threads: the same bytes.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
data=${MLS_TEST_DATA:-$top/../shared/data}
cases=$scratch/cases

# all_pass GROUP RTOL ATOL: every case of a group, where there are any
all_pass() {
    if [ ! -d "$cases/$1" ]; then
        echo "# there are no models of the group '$1' in $data: skipped"
        return
    fi
    exits "$1: no output differs" 0 verify "$cases/$1" --rtol "$2" --atol "$3" --threads 2
    sed 's/^/# /' "$scratch/out"
    says "$1: nor is any model skipped" out \
        "$(find "$cases/$1" -name model.onnx | wc -l) passed, 0 failed, 0 skipped"
}

# same_bytes CASE SET...: outputs on these sets that the machine has are those of the best one
same_bytes() {
    case=$cases/$1
    [ -d "$case" ] || return 0
    input=$("$mlscale" inspect "$case/model.onnx" --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["inputs"][0]["name"])')
    input="$input=$case/test_data_set_0/input_0.pb"
    shift
    exits "${case##*/}: runs" 0 run "$case/model.onnx" --input "$input" --output-dir "$scratch/want"
    for isa in best "$@"; do
        for threads in 1 2; do
            rm -rf "$scratch/got"
            [ "$isa" = best ] || export MLS_ISA="$isa"
            exits "${case##*/}: runs with $isa, $threads threads" 0 run "$case/model.onnx" \
                --input "$input" --output-dir "$scratch/got" --threads "$threads"
            unset MLS_ISA
            holds "${case##*/}: and gives the same bytes" diff -r "$scratch/want" "$scratch/got"
        done
    done
    rm -rf "$scratch/want"
}

# has SET: whether this machine runs it
has() {
    MLS_ISA=$1 "$mlscale" inspect "$top/examples/models/volatility_mlp.onnx" --plan \
        >/dev/null 2>&1
}

archive=$(find "$data/onnx" -name 'onnx-backend-data-*.tar.zst' 2>/dev/null | sort | tail -n 1)
if [ -n "$archive" ] && command -v zstd >/dev/null; then
    zstd -qdc --long=26 "$archive" | tar -x -C "$scratch" --wildcards 'onnx-v*/light/*'
fi
python3 "$top/tests/tool/model_cases.py" "$cases" "$data/models" "$scratch"/onnx-v*/light ||
    result "makes cases of the models" 1
# These four have up to 144 million weights, of which sanitizers would keep books for minutes.
if grep -q -- '--enable-sanitize' "${abs_top_builddir:-$PWD/build}/config.status" 2>/dev/null; then
    for name in bvlc_alexnet resnet50 vgg19 zfnet512; do
        rm -rf "$cases/light/light_$name"
    done
fi
# The group "wide" has outputs that were computed in 16 bits.
all_pass exact 1e-4 1e-5
all_pass wide 1e-2 1e-3
all_pass light 1e-4 1e-7

narrower=
for isa in avx2 avx512; do
    ! has $isa || narrower="$narrower $isa"
done
# The portable set takes a second for what others do in a hundredth: small models alone.
for case in exact/mnist-8 exact/Autoencoder1D exact/byte_sb_bidi_lstm; do
    # shellcheck disable=SC2086 # a list of words
    same_bytes $case portable $narrower
done
for case in exact/mobilenetv2-qdq-int8 wide/squeezenet1.0-fp16 exact/super-resolution-10 \
    light/light_shufflenet light/light_inception_v1; do
    # shellcheck disable=SC2086 # a list of words
    same_bytes $case $narrower
done
if [ $tests = 0 ]; then
    tests=1
    echo "ok 1 # SKIP no models"
fi
tap_end
