#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a killed worker leaves: nothing of its programs, no container, no process of its own.
[ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR # a commit is synced: spare the disk
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
cd "$scratch" || exit 1
q=sqlite:$scratch/jobs.db

# Programs tell that they run by a line into `told`, and have `alive` open while they live.
mkfifo told alive removed
exec 4<>told 5<>removed
cat >types.yaml <<'EOF'
job-types:
  - name: parent
    handler: {command: [sh, -c, 'exec 6>alive; (trap "" TERM HUP; echo >told; exec sleep 100) & wait']}
  - name: boxed
    handler: {container: image, engine: podman}
EOF
"$mlscale" worker --queue "$q" --config types.yaml --drain >yaml.txt 2>&1
if grep -q -e "no queue driver" -e "without libyaml" yaml.txt; then
    echo "1..0 # SKIP the library has no sqlite queues, or the command no YAML"
    exit 0
fi

# run_and_kill TYPE: a worker is killed once a job of it, $id, runs. It has no control groups: those
# of a machine that has them would end everything with less.
run_and_kill() {
    id=$("$mlscale" queue submit --queue "$q" --config types.yaml --type "$1" --payload x)
    MLS_CGROUP=/nonexistent "$mlscale" worker --queue "$q" --config types.yaml >out 2>err &
    pid=$!
    hear told 1
    kill -KILL $pid
    wait $pid 2>/dev/null
}

watch_over alive
run_and_kill parent
wait $watch
result "what a program of a killed worker has started is ended" $?
"$mlscale" queue cancel "$id" --queue "$q" >out 2>err
result "and its job is there for others" $?

# --- containers ---
mkdir bin
cat >bin/podman <<EOF
#!/bin/sh
case \$1 in
run) echo >$scratch/told; exec sleep 100 ;;
*) echo "\$*" >$scratch/removed ;;
esac
EOF
chmod +x bin/podman
old_path=$PATH
PATH=$scratch/bin:$PATH
run_and_kill boxed
PATH=$old_path
# shellcheck disable=SC2016 # the inner shell expands it
timeout 60 sh -c 'read -r line && echo "$line" >out' <removed
says "a container is removed" out "rm --force --ignore mls-$pid-$id-1"
"$mlscale" queue cancel "$id" --queue "$q" >out 2>err

# --- the process that does it ---
# It has nothing of the worker's open: whoever reads what the worker writes sees its end.
watch_over alive
"$mlscale" worker --queue "$q" --config types.yaml --drain >alive 2>err
wait $watch
result "nothing is left of a worker that ends by itself" $?
tap_end
