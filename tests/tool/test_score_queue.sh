#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale score --queue: killed at many points and started again, it scores every row once.
[ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR # a commit is synced: spare the disk
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
model=$top/examples/models/volatility_mlp.onnx
head -n 1501 "$top/examples/data/features.csv" >"$scratch/rows.csv"
cd "$scratch" || exit 1
q=sqlite:$scratch/jobs.db
"$mlscale" queue init --queue "$q" >init.txt 2>&1
if grep -q "no queue driver" init.txt; then
    echo "1..0 # SKIP the library has no sqlite queues"
    exit 0
fi
chunks=150

# once LABEL NAME: as many jobs were submitted and succeeded as there are chunks
once() {
    "$mlscale" queue stats --queue "$q" --json >out 2>err
    grep -q "\"submitted\": $chunks," out && [ "$(grep -c "\"succeeded\": $chunks,*" out)" = 1 ]
    result "$1" $?
}

exits "scores without a queue" 0 score "$model" --input rows.csv --output all.csv --quiet
killed=0
ended=no
for delay in 0.01 0.05 0.1 0.15 0.2 0.3 0.4; do
    if timeout -s KILL "$delay" "$mlscale" score "$model" --input rows.csv --output o.csv \
        --queue "$q" --batch 10 --workers 2 --quiet >out 2>err; then
        ended=yes
    else
        killed=$((killed + 1))
    fi
    [ -e o.csv ] && break
done
echo "# killed $killed times"
[ ! -e o.csv ] || cmp -s o.csv all.csv
result "there is no output that is not whole" $?
if [ ! -e o.csv ]; then
    "$mlscale" score "$model" --input rows.csv --output o.csv --queue "$q" \
        --batch 10 --workers 2 --quiet >out 2>err && ended=yes
fi
holds "no row is missing or there twice" cmp all.csv o.csv
once "every chunk was scored once"
# The output is whole before the queue is cleared; a kill between the two leaves results there.
[ $ended = yes ] || "$mlscale" queue purge --queue "$q" >out 2>err
"$mlscale" queue list --queue "$q" --json >out
says "the queue is empty then" out '"jobs": []'
holds "nothing lies beside the output" test ! -e o.csv.part

exits "writes .npy" 0 score "$model" --input rows.csv --output o.npy --queue "$q" --quiet
"$mlscale" score "$model" --input rows.csv --output p.npy --quiet
holds "of the same bytes" cmp o.npy p.npy

# Two runs in one file would leave neither's rows: the first one has it.
hold() { flock l.csv.part sh -c 'echo held >held; cat end >got'; }
if command -v flock >/dev/null; then
    mkfifo held end
    hold &
    holder=$!
    read -r _ <held
    echo theirs >>l.csv.part
    exits "leaves a file that another run writes" 1 score "$model" --input rows.csv \
        --output l.csv --queue "$q" --quiet
    says "and says so" err "another 'mlscale score' is writing 'l.csv'"
    holds "as it is" grep -qx theirs l.csv.part
    "$mlscale" queue list --queue "$q" --json >out
    says "and submits nothing" out '"jobs": []'
    echo over >end
    wait $holder
    exits "has it when that has ended" 0 score "$model" --input rows.csv --output l.csv \
        --queue "$q" --quiet
    "$mlscale" score "$model" --input rows.csv --output m.csv --quiet
    holds "and writes all of it" cmp l.csv m.csv
fi
exits "without a queue it does not begin" 1 score "$model" --input rows.csv --output n.csv \
    --queue nope:x --quiet
holds "and leaves nothing" test ! -e n.csv.part

# A last row that is bad keeps a run from its end, and so its results in the queue.
(cat rows.csv && echo bad) >bad.csv
exits "stops at a bad row" 1 score "$model" --input bad.csv --output b.csv --queue "$q" --quiet
"$mlscale" queue list --queue "$q" --limit 1 --json >out
run=$(grep -o 'score-[0-9a-f]*' out | head -n 1)
! grep -q '"deadline_ms": 0,' out
result "whose chunks are not kept for ever" $?
"$mlscale" queue purge --queue "$q" >out
"$mlscale" queue submit --queue "$q" --type "$run" --payload "not rows" >id
exits "and there again" 1 score "$model" --input bad.csv --output b.csv --queue "$q" --quiet
exits "refuses a payload that is no chunk" 0 queue show "$(cat id)" --queue "$q"
says "and says so" out "the payload is not a chunk of rows of this model"
exits "reports" 1 score "$model" --input bad.csv --output b.csv --queue "$q" --json
says "what it found" err '"rows":1500,"found":1500,"skipped":0'
exits "scores with fast numerics" 1 score "$model" --input bad.csv --output b.csv --queue "$q" \
    --numerics fast --quiet
"$mlscale" queue list --queue "$q" --type "$run" --limit 1000 --json >run.txt
"$mlscale" queue list --queue "$q" --limit 1000 --json >all.txt
# shellcheck disable=SC2016 # for the shell that runs it
holds "as a run of its own" sh -c \
    '[ $(($(grep -c "\"type\"" run.txt) * 2 - 1)) = "$(grep -c "\"type\"" all.txt)" ]'
exits "clears the queue" 0 queue purge --queue "$q"
echo "job-types: [{name: $run, handler: {command: [cat]}}]" >t.yaml
"$mlscale" queue submit --queue "$q" --type "$run" --key "$run/0" --payload short >out
if "$mlscale" worker --queue "$q" --config t.yaml --drain >out 2>err; then
    exits "refuses a result of another size" 1 score "$model" --input bad.csv --output b.csv \
        --queue "$q" --quiet
    says "and says what it expected" err "has 5 bytes, but their scores have"
fi

exits "wants a file to write" 2 score "$model" --input rows.csv --queue "$q"
says "and says why" err "--queue needs --output"
exits "wants a file to read" 2 score "$model" --input - --output x.csv --queue "$q"
exits "refuses a queue of this process" 1 score "$model" --input rows.csv --output x.csv \
    --queue memory:
says "and says why" err "sharing between processes"
tap_end
