#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale run, inspect, bench and verify on small models.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
model=$top/examples/models/volatility_trees.onnx
data=${MLS_TEST_ONNX:-/usr/share/libonnx-testdata/data}
cd "$scratch" || exit 1

exits "lists the commands" 0 --help
says "all of them" out "verify"
exits "shows the version" 0 --version
says "as mlscale N" out "mlscale "
exits "wants a command" 2
exits "refuses an unknown one" 2 divine
says "and names it" err "'divine'"

exits "inspects a model" 0 inspect "$model"
says "its input" out "float32 [batch,11]"
says "its ops" out "ai.onnx.ml.TreeEnsembleRegressor"
exits "inspects as JSON" 0 inspect "$model" --json
for key in inputs outputs opsets ops parameters plan_bytes unsupported; do
    says "with $key" out "\"$key\""
done
says "and the dimension's name" out '"batch"'
exits "refuses a dimension that is not there" 0 inspect "$model" --dim time=3
says "and lists those there are" out "there are: 'batch'"

mlp=$top/examples/models/volatility_mlp.onnx
exits "shows a plan" 0 inspect "$mlp" --plan --dim batch=4
says "with what goes in" out "input   features float32 [4,11], 176 bytes at "
says "with steps by number" out "0       ai.onnx.ml.Scaler  'standardise'  "
says "with places" out "log_variance float32 [4,1], 16 bytes at "
says "with workspace" out "workspace, "
says "and what no reuse would take" out "without reuse"
exits "shows a plan as JSON" 0 inspect "$mlp" --plan --json
for key in unshared_bytes plan kind depth step kernel values shape place offset; do
    says "with $key" out "\"$key\""
done
exits "fails when there is no plan to show" 1 inspect "$mlp" --plan --dim time=3
says "and says why" out "there are: 'batch'"
printf 'not a model' >text.onnx
exits "refuses what is no model" 1 inspect text.onnx
says "and names the file" err "text.onnx"

exits "measures a model" 0 bench "$model" --seconds 0.05 --batch 4
says "percentiles" out "p99.9"
says "and the share of each op" out "TreeEnsembleRegressor"
exits "measures as JSON" 0 bench "$model" --seconds 0.05 --json
says "with the rate" out '"rows_per_second"'
exits "refuses a negative time" 2 bench "$model" --seconds -1

samples=${abs_top_builddir:-$PWD/build}/tests/fuzz/make_corpus
if [ -x "$samples" ]; then
    mkdir samples
    "$samples" samples
    printf '\010\001\020\010\062\003age' >keys.pb
    printf '\010\001\020\001\112\004\000\000\000\100' >values.pb
    printf '\010\001\020\007\112\010\002\000\000\000\000\000\000\000' >numbers.pb
    exits "inspects a model on maps" 0 inspect samples/onnx/maps.onnx
    says "its types" out "map from string to float32"
    exits "takes two files for a map" 0 run samples/onnx/maps.onnx --input features=keys.pb \
        --input features=values.pb --input numbers=numbers.pb --input numbers=values.pb \
        --format pb --output-dir maps.d
    says "and writes what it gives" out "maps.d/texts.pb"
    result "with the value at its place" "$(grep -q '0.f.*0.f.*2.0.*0.f' maps.d/texts.pb; echo $?)"
    exits "wants keys and values" 1 run samples/onnx/maps.onnx --input features=keys.pb \
        --input numbers=numbers.pb --input numbers=values.pb --output-dir maps.d
    says "and says so" err "1 files; a map takes two, its keys and its values"

    mkdir -p wide/test_data_set_0
    cp samples/onnx/wide.onnx wide/model.onnx
    { # float32 [2,64], each element 0.1
        printf '\010\002\010\100\020\001\112\200\004'
        for _ in $(seq 128); do printf '\315\314\314\075'; done
    } >wide/test_data_set_0/input_0.pb
    exits "runs a product" 0 run wide/model.onnx --input x=wide/test_data_set_0/input_0.pb \
        --output-dir wide.d --format pb
    cp wide.d/y.pb wide/test_data_set_0/output_0.pb
    exits "verifies fast numerics" 0 verify wide --numerics fast
    if grep -q 'no plan had a fast kernel' out; then
        echo "# this processor has no fast kernel for two rows: their error is not measured"
    else
        says "and tells how far they lie from exact ones" out \
            "fast against exact numerics: 1 of 1 data sets differ; 1 had a fast kernel"
        result "a little" \
            "$(grep -q 'max error 0\.0[0-9]* of the largest in wide/test_data_set_0 at ' out; echo $?)"
        result "on the whole, too" \
            "$(grep -q 'rms error 0\.0[0-9]* of the rms in wide/test_data_set_0' out; echo $?)"
    fi
    says "and what it tolerates" out \
        "tolerance to the expected outputs: 1e-07 + 0.05 * the largest |expected| of the output"
    MLS_ISA=portable exits "verifies where there are no fast kernels" 0 \
        verify wide --numerics fast
    says "and says that nothing was measured" out "no plan had a fast kernel"
    size=$(wc -c <wide.d/y.pb)
    { # the last element is expected to be 0
        head -c "$((size - 4))" wide.d/y.pb
        printf '\000\000\000\000'
    } >wide/test_data_set_0/output_0.pb
    exits "fails when fast numerics are too far off" 1 verify wide --numerics fast
    says "and says of what they are too far off" out ", expected 0 (the largest is "
    exits "tolerates a share of the largest, also of 0" 0 verify wide --numerics fast --rtol 1.5
    exits "with exact numerics a share of the element itself" 1 verify wide --rtol 1.5
    mv wide/test_data_set_0/output_0.pb wide/test_data_set_0/y.pb
    exits "passes no case that expects nothing" 1 verify wide
    says "and says what is missing" out "wide/test_data_set_0: nothing to compare with: no output_0.pb"
fi
if [ ! -d "$data/node/test_add" ]; then
    echo "# there is no ONNX test data in $data: the rest is left out"
    tap_end
    exit 0
fi
case=$data/node/test_loop11
exits "shows control flow" 0 inspect "$case/model.onnx" --plan
says "run by the session" out "0       Loop  'res_y'  by the session"
says "with its body" out "    body"
says "not planned" out "block that the run plans"
exits "shows control flow after a run" 0 inspect "$case/model.onnx" --plan \
    --input "trip_count=$case/test_data_set_0/input_0.pb" \
    --input "cond=$case/test_data_set_0/input_1.pb" --input "y=$case/test_data_set_0/input_2.pb"
says "planned" out "y_out float32 [1], 4 bytes at "
says "before the run where it can be" out "known before the run"
exits "measures control flow" 0 bench "$case/model.onnx" --seconds 0.05 \
    --input "trip_count=$case/test_data_set_0/input_0.pb" \
    --input "cond=$case/test_data_set_0/input_1.pb" --input "y=$case/test_data_set_0/input_2.pb"
says "op by op" out "Loop                              1 "
says "with what the body does" out "Add                               1 "
cp -r "$case" partly.d
rm partly.d/test_data_set_0/output_1.pb
exits "compares the outputs that a set tells of" 0 verify partly.d
says "and names the set" out \
    "PARTLY partly.d/test_data_set_0: 1 of 2 outputs compared; there is no output_1.pb"
says "and counts it" out "1 data sets say nothing of some outputs"
case=$data/node/test_add
exits "runs a model on files" 0 run "$case/model.onnx" --input "x=$case/test_data_set_0/input_0.pb" \
    --input "y=$case/test_data_set_0/input_1.pb" --output-dir out.d --format pb
says "and prints the output's path" out "out.d/sum.pb"
mkdir -p again/test_data_set_0
cp "$case/model.onnx" again/
cp "$case"/test_data_set_0/input_* again/test_data_set_0/
cp out.d/sum.pb again/test_data_set_0/output_0.pb
exits "and the output is the expected one" 0 verify again "$case"
says "for both" out "2 passed, 0 failed, 0 skipped"
exits "writes .npy" 0 run "$case/model.onnx" --input "x=$case/test_data_set_0/input_0.pb" \
    --input "y=$case/test_data_set_0/input_1.pb" --output-dir npy.d
exits "and reads it" 0 run "$case/model.onnx" --input x=npy.d/sum.npy --input y=npy.d/sum.npy \
    --output-dir npy2.d
case=$data/node/test_sequence_insert_at_back
items=$case/test_data_set_0/input_1.pb
exits "takes several files for a sequence" 0 run "$case/model.onnx" --input "sequence=$items" \
    --input "tensor=$items" --input "sequence=$items" --output-dir seq.d
says "and numbers what it gives" out "seq.d/output_sequence.2.npy"
case=$data/node/test_add
exits "wants every input" 2 run "$case/model.onnx" --input "x=$case/test_data_set_0/input_0.pb" \
    --output-dir out.d
says "and names the missing one" err "input 'y'"
exits "refuses an input that is not there" 1 run "$case/model.onnx" \
    --input "x=$case/test_data_set_0/input_0.pb" --input "y=$case/test_data_set_0/input_1.pb" \
    --input "z=$case/test_data_set_0/input_1.pb" --output-dir out.d
says "and lists those there are" err "'x', 'y'"
cp "$case/test_data_set_0/input_0.pb" again/test_data_set_0/output_0.pb
exits "notices a wrong result" 1 verify again
says "and shows the first element that differs" out "FAIL again/test_data_set_0: output 'sum': element ["
mkdir -p other/test_data_set_0
cp "$case/model.onnx" other/
cp "$case"/test_data_set_0/* other/test_data_set_0/
cp "$data/node/test_argmax_keepdims_example/test_data_set_0/input_0.pb" other/test_data_set_0/
exits "tells of a case that contradicts its model" 0 verify other "$case"
says "by name" out "CONTRADICTION other/test_data_set_0: input 'x' has dims 2 2, and its model declares 3 4 5"
says "and counts it apart" out "1 contradict themselves"
cp -r "$data/node/test_bernoulli" .
exits "compares what random numbers allow" 0 verify test_bernoulli
says "and says so" out "1 of the passed draw random numbers"
cp test_bernoulli/test_data_set_0/input_0.pb test_bernoulli/test_data_set_0/output_0.pb
exits "and notices what nobody drew" 1 verify test_bernoulli
cp -r "$data/node/test_dft_inverse" .
# Element [0,5,0,1], which is 0, as 2e-7; the 800 bytes of elements are the file's last ones.
printf '\225\277\126\064' | dd of=test_dft_inverse/test_data_set_0/output_0.pb bs=1 \
    seek=$(($(wc -c <test_dft_inverse/test_data_set_0/output_0.pb) - 800 + 404)) conv=notrunc \
    2>/dev/null
exits "takes 0 for what float32 left of it" 0 verify test_dft_inverse
says "and says so" out "1 of the passed expect residues of float32"
mv test_dft_inverse named_otherwise
exits "in no other case" 1 verify named_otherwise
exits "wants cases" 1 verify out.d
says "and says what is missing" err "no model.onnx"
tap_end
