#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Examples run as a new user would run them: built by pkg-config against an installed
# copy, in C and in C++; the one with an event loop where libuv is; the demo; the README's program is
# the example itself; and what the tutorial's commands print, and Python over the C interface.
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
# shellcheck source=tests/tool/page.sh
. "$top/tests/tool/page.sh"
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
    "$top/examples/allreduce.c" $options -o "$scratch/allreduce"
holds "and has at most 100 lines" test "$(wc -l <examples/allreduce.c)" -le 100
holds "allreduce.c runs alone" "$scratch/allreduce"
says "and gives a mean" out "the mean of 12 shards has digest"
cp "$scratch/out" "$scratch/one"

# same LABEL RANKS COMMAND...: all ranks print what the program alone did
same() {
    label=$1
    ranks=$2
    shift 2
    holds "$label" "$@"
    [ "$(grep -cxF "$(cat "$scratch/one")" "$scratch/out")" = "$ranks" ]
    result "and gives the same bytes on each" $?
}
mpirun_openmpi() {
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
        mpirun.openmpi "$@"
}

# everywhere NAME: launched over each transport, and where there is a module for an MPI by that
everywhere() {
    name=$1
    for transport in shm tcp; do
        "$mlscale" launch -n 1 --transport $transport "$scratch/$name" >"$scratch/out" 2>&1
        if grep -q "there is no transport" "$scratch/out"; then
            echo "# $transport is left out: it is not there"
            continue
        fi
        for ranks in 1 3 7; do
            same "$name.c runs as $ranks processes, by $transport" $ranks \
                "$mlscale" launch -n $ranks --transport $transport --no-prefix -- "$scratch/$name"
        done
    done
    for mpi in openmpi mpich; do
        module=$(find "$prefix" -name "mls_transport_$mpi.so")
        if [ -z "$module" ] || ! command -v mpirun.$mpi >/dev/null; then
            echo "# mpirun of $mpi is left out: it is not there, or no module for it"
            continue
        fi
        case $flags in
        *thread*)
            echo "# mpirun of $mpi is left out: ThreadSanitizer knows nothing of its locks"
            continue
            ;;
        esac
        MLSCALE_DRIVERS=${module%/*}
        export MLSCALE_DRIVERS
        ASAN_OPTIONS=detect_leaks=0 # MPI does not free all that it has
        export ASAN_OPTIONS
        run=mpirun.$mpi
        [ $mpi = mpich ] || run=mpirun_openmpi
        same "$name.c runs by mpirun of $mpi" 3 "$run" -n 3 "$scratch/$name"
        unset MLSCALE_DRIVERS ASAN_OPTIONS
    done
}
everywhere allreduce
# no_rank NAME: what fails before there is a group is of no rank
no_rank() {
    MLSCALE_RANK=1 MLSCALE_SIZE=2 MLSCALE_GROUP=pigeon:x "$scratch/$1" >"$scratch/out" 2>"$scratch/err"
    says "$1.c says why there is no group" err "there is no transport 'pigeon'"
    [ "$(grep -c '^rank' "$scratch/err")" = 0 ]
    result "and takes nobody for rank 0" $?
}
no_rank allreduce

# shellcheck disable=SC2086
holds "sharded_matmul.c is built" $cc -std=gnu11 -Wall -Wextra -Werror $flags \
    "$top/examples/sharded_matmul.c" $options -o "$scratch/sharded_matmul"
holds "and has at most 120 lines" test "$(wc -l <examples/sharded_matmul.c)" -le 120
holds "sharded_matmul.c runs alone" "$scratch/sharded_matmul"
says "and gives a layer" out "the layer has digest"
cp "$scratch/out" "$scratch/one"
everywhere sharded_matmul
no_rank sharded_matmul

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
# The pages, from a folder that looks as a new user's does once it is built and installed.
mkdir "$scratch/user" "$scratch/bin"
ln -s "$top/examples" "$scratch/user/examples"
ln -s "${abs_top_builddir:-$PWD/build}" "$scratch/user/build"
# shellcheck disable=SC2016 # of the script
printf '#!/bin/sh\nPATH=%s exec %s "$@" %s\n' "'$PATH'" "$cc" "$flags" >"$scratch/bin/cc" # not itself
printf '#!/bin/sh\necho "%s"\n' "$options" >"$scratch/bin/pkg-config"
chmod +x "$scratch/bin/cc" "$scratch/bin/pkg-config"
PATH=$scratch/bin:$prefix/bin:$PATH
cd "$scratch/user" || exit 1
# The chapter of durable queues needs a library that has them, and a command that reads YAML.
cp "$top/docs/tutorial.md" "$scratch/tutorial.md"
"$mlscale" worker --queue "sqlite:$scratch/try.db" --config examples/job-types.yaml --drain \
    >"$scratch/out" 2>&1
if grep -q -e "no queue driver" -e "without libyaml" "$scratch/out"; then
    echo "# the tutorial's durable queue is left out: there is no sqlite, or no YAML"
    sed -i '/^## .*on the disk$/,/^## .*group$/d' "$scratch/tutorial.md"
fi
page_runs "$scratch/tutorial.md"
# shellcheck disable=SC2016 # Markdown's quotes
sed -n '/^```yaml$/,/^```$/p' "$top/docs/tutorial.md" | sed '1d;$d' >"$scratch/shown.yaml"
tail -n +3 examples/job-types.yaml >"$scratch/shipped.yaml"
holds "the tutorial shows job-types.yaml" cmp "$scratch/shown.yaml" "$scratch/shipped.yaml"
if [ -n "$flags" ]; then
    echo "# how-to.md's Python is left out: sanitizers want a program of their own"
elif ! command -v python3 >/dev/null; then
    echo "# how-to.md's Python is left out: there is no python3"
else
    # shellcheck disable=SC2016 # Markdown's quotes
    sed -n '/^```python$/,/^```$/p' "$top/docs/how-to.md" | sed '/^```/d' >sum.py
    holds "how-to.md's Python adds up over ranks" mlscale launch -n 3 --no-prefix -- python3 sum.py
    for rank in 0 1 2; do
        says "on rank $rank" out "rank $rank of 3 has [33.0, 33.0, 33.0, 33.0]"
    done
    holds "and alone" python3 sum.py
    says "its own" out "rank 0 of 1 has [10.0, 10.0, 10.0, 10.0]"
fi
cd "$top" || exit 1
holds "the demo runs" sh examples/demo.sh "${abs_top_builddir:-$PWD/build}"
says "and every score agrees with the reference" out "all 11239 scores agree"
tap_end
