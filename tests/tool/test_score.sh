#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale score on the example data: order, columns, bad rows, formats.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
model=$top/examples/models/volatility_mlp.onnx
rows=$top/examples/data/features.csv
head -n 101 "$rows" >"$scratch/rows.csv"
cd "$scratch" || exit 1

exits "scores a file" 0 score "$model" --input rows.csv --output all.csv
says "reports the rows" err "rows              100"
says "reports the batches" err "time per batch    p50"
# shellcheck disable=SC2016 # awk's $0
holds "names the output, then a row each" \
    awk 'NR == 1 && $0 != "log_variance" {exit 1} END {exit NR != 101}' all.csv

# The order is the input's, however the rows are cut and shared out.
exits "scores in small batches on several workers" 0 \
    score "$model" --input rows.csv --output small.csv --batch 7 --workers 3
holds "gives the same bytes" cmp all.csv small.csv
exits "writes to standard output" 0 score "$model" --input rows.csv --quiet
cp out stdout.csv
cp err stderr.txt
holds "the same bytes there" cmp all.csv stdout.csv
holds "and nothing else when quiet" test ! -s stderr.txt
"$mlscale" score "$model" --input - --output stdin.csv --quiet <rows.csv
holds "reads standard input" cmp all.csv stdin.csv

# Columns by name, in another order; by number without names.
awk -F, -v OFS=, '{print "day" NR, $11, $10, $9, $8, $7, $6, $5, $4, $3, $2, $1}' rows.csv |
    sed '1s/day1/day/' >turned.csv
names=$(head -n 1 rows.csv)
exits "takes columns by name" 0 \
    score "$model" --input turned.csv --columns "$names" --output named.csv
holds "in the model's order" cmp all.csv named.csv
tail -n +2 rows.csv >bare.csv
exits "takes a file without names" 0 score "$model" --input bare.csv --output bare.out.csv
holds "with the same scores" cmp all.csv bare.out.csv
exits "takes columns by number" 0 score "$model" --input bare.csv \
    --columns 1,2,3,4,5,6,7,8,9,10,11 --output numbered.csv
holds "with the same scores again" cmp all.csv numbered.csv
exits "refuses a column that is not there" 1 \
    score "$model" --input rows.csv --columns "$(echo "$names" | sed 's/^[^,]*/nope/')"
says "and names it" err "no column 'nope'"
exits "refuses too few columns" 1 score "$model" --input rows.csv --columns log_var_1d
says "and counts them" err "names 1 columns; the model takes 11"
exits "refuses a file of other width" 1 score "$model" --input turned.csv
says "and says how to choose" err "--columns"

# Bad rows.
sed -e '5s/^[^,]*/oops/' -e '9s/,.*//' rows.csv >bad.csv
exits "stops at a bad row" 1 score "$model" --input bad.csv --output bad.out.csv
says "naming file, line, column and text" err "bad.csv:5:1: column 'log_var_1d': 'oops' is not a number"
holds "with the rows before it scored" sh -c 'head -n 4 all.csv | cmp - bad.out.csv'
exits "skips bad rows on request" 0 \
    score "$model" --input bad.csv --skip-bad-rows --output skipped.csv
says "still naming them" err "bad.csv:9:1: the row has 1 fields; expected 11 (row skipped)"
says "and counts them" err "rows skipped      2"
holds "and scores all others" sh -c 'sed "5d;9d" all.csv | cmp - skipped.csv'
sed '3s/,[^,]*/,/' rows.csv >empty.csv
exits "stops at an empty field" 1 score "$model" --input empty.csv
says "and says how to read it" err "--empty-as-nan"
exits "reads it as missing on request" 0 \
    score "$model" --input empty.csv --empty-as-nan --output missing.csv
holds "which a network turns into nan" sh -c 'sed -n 3p missing.csv | grep -qx nan'
printf 'a,"b\n' >quote.csv
exits "refuses an open quote" 1 score "$model" --input quote.csv
says "and says where" err "quote.csv:2:1: the file ends inside a quoted field"
: >nothing.csv
exits "refuses an empty file" 1 score "$model" --input nothing.csv
says "and says so" err "nothing.csv is empty"
head -n 1 rows.csv >header.csv
exits "takes a file without rows" 0 score "$model" --input header.csv --output header.out.csv
holds "and names the outputs" sh -c 'printf "log_variance\n" | cmp - header.out.csv'

# .npy out and in again.
exits "writes .npy" 0 score "$model" --input rows.csv --output scores.npy
exits "which is not what the model reads" 1 score "$model" --input scores.npy
says "and says what would be" err "of shape [rows, 11]"

# The command line.
exits "shows help" 0 score --help
says "with every option" out "--skip-bad-rows"
exits "wants an input" 2 score "$model"
says "and says so" err "--input is missing"
exits "wants a model" 2 score --input rows.csv
exits "refuses an unknown option" 2 score "$model" --speed 9
says "and names it" err "'--speed'"
exits "refuses a bad number" 2 score "$model" --input rows.csv --workers many
says "and says what would be right" err "from 1 to"
exits "says which file is missing" 1 score "$model" --input absent.csv
says "by name" err "absent.csv"
exits "says which model is missing" 1 score absent.onnx --input rows.csv
says "by name too" err "there is no file 'absent.onnx'"
exits "says where it cannot write" 1 score "$model" --input rows.csv --output no/such/dir.csv
says "by path" err "no/such/dir.csv"
tap_end
