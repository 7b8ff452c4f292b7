#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Examples run as a new user would run them: built by pkg-config against an installed
# copy, in C and in C++; the one with an event loop where libuv is; the demo; and the README's program is the example itself.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
prefix=$scratch/prefix
cc=${CC:-cc}
cxx=${CXX:-c++}
flags=${MLS_TEST_SANITIZE_FLAGS:-}

holds "installs" make -s -C "${abs_top_builddir:-$PWD/build}" install prefix="$prefix" \
    exec_prefix="$prefix" libdir="$prefix/lib" bindir="$prefix/bin" \
    includedir="$prefix/include" mandir="$prefix/share/man" datarootdir="$prefix/share" DESTDIR=
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib"
options=$(pkg-config --define-variable=prefix="$prefix" --define-variable=exec_prefix="$prefix" \
    --define-variable=libdir="$prefix/lib" --define-variable=includedir="$prefix/include" \
    --cflags --libs mlscale)

# shellcheck disable=SC2086 # lists of words
holds "embed.c is built" $cc -std=c11 -Wall -Wextra -Werror $flags "$top/examples/embed.c" \
    $options -o "$scratch/embed_c"
# shellcheck disable=SC2086
holds "embed.cpp is built" $cxx -std=c++17 -Wall -Wextra -Werror $flags \
    "$top/examples/embed.cpp" $options -o "$scratch/embed_cpp"
cd "$top" || exit 1
holds "embed.c runs" "$scratch/embed_c"
says "and gives the network's score" out "log variance: -1.57259"
holds "embed.cpp runs" "$scratch/embed_cpp"
says "and gives the trees' first score" out "log variance: -1.40776"
says "and the second" out "log variance: -1.3195"
"$scratch/embed_c" no/such/model.onnx >"$scratch/out" 2>"$scratch/err"
says "an error is told" err "there is no file 'no/such/model.onnx'"

# shellcheck disable=SC2086
holds "pipeline.c is built" $cc -std=gnu11 -Wall -Wextra -Werror $flags \
    "$top/examples/pipeline.c" $options -o "$scratch/pipeline"
sed -n '2,300p' examples/data/features.csv >"$scratch/lines"
echo "no,row" >>"$scratch/lines"
sed -n '301,501p' examples/data/features.csv >>"$scratch/lines"
"$scratch/pipeline" examples/models/volatility_mlp.onnx <"$scratch/lines" \
    >"$scratch/out" 2>"$scratch/err"
says "pipeline.c runs, and one bad line fails alone" out "500 of 501 rows scored"
says "and its report is of the scores" out "mean log variance -2.5196"
holds "and it has less than 150 lines" test "$(wc -l <examples/pipeline.c)" -lt 150

# shellcheck disable=SC2086
holds "allreduce.c is built" $cc -std=gnu11 -Wall -Wextra -Werror $flags \
    "$top/examples/allreduce.c" $options -pthread -o "$scratch/allreduce"
holds "allreduce.c runs on one thread" "$scratch/allreduce" 1
says "and gives a mean" out "the mean of 12 shards has digest"
cp "$scratch/out" "$scratch/one"
holds "allreduce.c runs on seven threads" "$scratch/allreduce" 7
says "and gives the same bytes" out "$(cat "$scratch/one")"

if uv=$(pkg-config --cflags --libs libuv 2>/dev/null); then
    # shellcheck disable=SC2086
    holds "event_loop.c is built" $cc -std=gnu11 -Wall -Wextra -Werror $flags \
        "$top/examples/event_loop.c" $options $uv -o "$scratch/event_loop"
    holds "event_loop.c runs" "$scratch/event_loop" memory: 500
    says "and its loop runs all jobs" out "500 jobs were run by the loop's thread"
else
    echo "# event_loop.c is left out: there is no libuv here"
fi

# shellcheck disable=SC2016 # Markdown's quotes
sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' >"$scratch/readme.c"
tail -n +3 examples/embed.c >"$scratch/embed.c"
holds "the README shows embed.c" cmp "$scratch/readme.c" "$scratch/embed.c"
holds "the demo runs" sh examples/demo.sh "${abs_top_builddir:-$PWD/build}"
says "and every score agrees with the reference" out "all 11239 scores agree"
tap_end
