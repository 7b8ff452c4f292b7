#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale worker: job types from YAML, programs and models as jobs, signals.
[ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR # a commit is synced: spare the disk
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
cd "$scratch" || exit 1
q=sqlite:$scratch/jobs.db
model=$top/examples/models/volatility_mlp.onnx
"$mlscale" queue init --queue "$q" >init.txt 2>&1
echo "job-types: [{name: t, handler: {command: [cat]}}]" >t.yaml
"$mlscale" worker --queue "$q" --config t.yaml --drain >yaml.txt 2>&1
if grep -q -e "no queue driver" -e "without libyaml" init.txt yaml.txt; then
    echo "1..0 # SKIP the library has no sqlite queues, or the command no YAML"
    exit 0
fi

# refuses LABEL TEXT: the file `bad.yaml` is refused with this message
refuses() {
    "$mlscale" worker --queue "$q" --config bad.yaml --drain >out 2>err
    [ $? = 1 ] && grep -qF -- "bad.yaml:$2" err
    result "$1" $?
}

# put TYPE PAYLOAD [OPTION...]: submits a job of types.yaml; its id is in $id
put() {
    type=$1
    payload=$2
    shift 2
    id=$("$mlscale" queue submit --queue "$q" --config types.yaml --type "$type" \
        --payload "$payload" "$@")
}

# shown LABEL TEXT: what is known of the job $id has this text
shown() {
    "$mlscale" queue show "$id" --queue "$q" --json >out 2>err
    grep -qF -- "$2" out
    result "$1" $?
}

# Programs tell that they run by a line into `told`, and wait for one in `go`; those that have
# `alive` open live. A program that sleeps waits for nothing but its end.
mkfifo told go said alive
exec 3<>go 4<>told 5<>said

# hears TEXT: what a worker says into `said` goes to worker.err, until it is this; a minute at most
hears() {
    # shellcheck disable=SC2016 # the inner shell expands it
    timeout 60 sh -c 'while read -r line; do
        echo "$line"
        case $line in *"$1"*) exit 0 ;; esac
    done' - "$1" <said >>worker.err
}

# --- resources ---
cat >sizes.yaml <<EOF
job-types:
  - name: grows
    handler: {command: [sh, -c, 'test "\$(ulimit -v)" -ge 4194304 || exit 12; echo enough']}
    resources: {cpu: 500m, memory: 1G, escalate: [2G, 4G]}
  - name: wants
    handler: {command: [sh, -c, 'echo "std::bad_alloc" >&2; exit 1']}
    resources: {memory: 64M, escalate: [128M]}
  - name: large
    handler: {command: [cat]}
    resources: {gpu: 2}
EOF
sized() {
    id=$("$mlscale" queue submit --queue "$q" --config sizes.yaml --type "$1" --payload x)
}
sized grows
grows=$id
sized wants
wants=$id
sized large
large=$id
# Without a control group, whose limit a program cannot see.
MLS_CGROUP=/nonexistent "$mlscale" worker --queue "$q" --config sizes.yaml --memory 8G --drain
id=$grows
shown "a program that ran out of memory gets more" '"result": "enough'
shown "as often as it takes" '"escalations": 2'
shown "which does not count as attempts" '"attempt": 1'
shown "it needs that now" '"needs_memory_bytes": 4294967296'
exits "counts what types took" 0 queue stats --queue "$q" --json --type grows
says "by type and memory" out '"needs_memory_bytes": 4294967296'
says "with quantiles" out '"p95"'
id=$wants
shown "in its last class it is dead" 'no larger class is left'
shown "and says of what" 'std::bad_alloc'
exits "shows a job that fits nowhere" 0 queue show "$large" --queue "$q"
says "saying so" out 'needs 2 gpu; no worker offers that'
exits "a worker says what it has" 0 worker --queue "$q" --config sizes.yaml --gpus 2 --drain
id=$large
shown "and runs what fits" '"result": "x"'
exits "numbers are checked" 2 worker --queue "$q" --config sizes.yaml --cpus many

# --- a drain that is told to stop ---
cat >long.yaml <<'EOF'
job-types: [{name: long, handler: {command: [sh, -c, 'echo >told; read -r _ <go']}}]
EOF
"$mlscale" queue submit --queue "$q" --config long.yaml --type long >out 2>err
"$mlscale" queue submit --queue "$q" --config long.yaml --type long >out 2>err
"$mlscale" worker --queue "$q" --config long.yaml --drain >drained.txt 2>said &
drainer=$!
hear told 1
kill -TERM $drainer
hears "no new jobs"
echo >&3
wait $drainer
result "a drain ends by a signal" $?
cp drained.txt out
says "with the job that ran, and not the next" out "1 succeeded, 0 failed"
echo >&3
"$mlscale" worker --queue "$q" --config long.yaml --drain >out 2>err
says "which another drain runs" out "1 succeeded"
hear told 1

# --- what programs say, on a terminal ---
cat >rude.yaml <<'EOF'
job-types: [{name: rude, handler: {command: [sh, -c, 'printf "\033[31mred\302\233" >&2; exit 3']}}]
EOF
id=$("$mlscale" queue submit --queue "$q" --config rude.yaml --type rude)
"$mlscale" worker --queue "$q" --config rude.yaml --drain >out 2>err
exits "lists what failed" 0 queue list --queue "$q"
says "without moving the cursor" out '\x1b[31mred\xc2\x9b'
exits "shows it" 0 queue show "$id" --queue "$q"
says "likewise" out '\x1b[31mred'
exits "and refuses to give a result" 1 queue show "$id" --queue "$q" --result
says "likewise" err '\x1b[31mred'
"$mlscale" queue purge --queue "$q" --state dead >out 2>err

# --- programs ---
mkdir work
cat >types.yaml <<EOF
# Every kind of key.
job-types:
  - name: upper
    version: 3
    handler:
      command: [sh, -c, 'tr a-z A-Z; printf " %s %s %s" "\$GREETING" "\$MLS_JOB_TYPE" "\$(basename "\$PWD")"']
      environment: {GREETING: hello}
      directory: $scratch/work
    queue: text
    resources: {cpu: 1, gpu: 0, memory: 64M}
    priority: 7
    retention: 1h
  - name: fails
    handler: {command: [sh, -c, 'echo because >&2; exit 3']}
    retries: {attempts: 2, backoff: 1ms, backoff-max: 1s, jitter: 0}
  - name: slow
    handler: {command: [sh, -c, 'exec 4>alive; trap "" TERM; sleep 100 & wait; sleep 100']}
    limits: {time: 200ms, grace: 100ms}
  - name: loud
    handler: {command: [sh, -c, 'yes']}
    limits: {output: 4K, grace: 0s}
  - name: greedy
    handler: {command: [sh, -c, 'ulimit -v; ulimit -t']}
    limits: {memory: 1G, cpu: 10s}
  - name: absent
    handler: {command: [./no-such-program]}
  - name: many
    handler: {command: [cat]}
    batch: {size: 8, wait: 10ms}
  - name: score
    handler: {score: model.onnx, inputs: {features: x}}
EOF
cp "$model" model.onnx
input=$("$mlscale" inspect model.onnx --json | sed -n 's/.*"name": "\(.*\)",/\1/p' | head -n 1)
sed -i "s/{features: x}/{$input: x}/" types.yaml

put upper words
upper=$id
put fails x
fails=$id
put slow x
slow=$id
put loud x
loud=$id
put greedy x
greedy=$id
put absent x
absent=$id
printf 'a\nb\nc\n' >lines
"$mlscale" queue submit --queue "$q" --config types.yaml --type many --lines lines >many.txt
put score '{"x": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}'
score=$id
put score '{"y": 1}'
unnamed=$id
put score '{"x": [[0, 0], [1]]}'
ragged=$id
put score '{"x": '
broken=$id
export MLS_CGROUP=/nonexistent # limits by rlimits, which a program can see
watch_over alive
exits "runs what is there" 0 worker --queue "$q" --config types.yaml --slots 3 --drain
exits "and what was to be tried again" 0 worker --queue "$q" --config types.yaml --drain --json
unset MLS_CGROUP
says "counting as JSON" out '"failed"'

id=$upper
shown "a program gets the payload, environment and directory" '"result": "WORDS hello upper work"'
shown "the type says the queue" '"queue": "text"'
shown "and the priority" '"priority": 7'
id=$fails
shown "a program that fails is tried as often as its type says" '"max_attempts": 2'
shown "and says why" 'exit status 3: because'
id=$slow
shown "a program ends at its limit of time" 'longer than limits.time'
: <>alive # on a slow machine it ended before it could open it
wait $watch
result "with all of its group" $?
id=$loud
shown "a program ends when it writes too much" 'more than limits.output'
id=$greedy
shown "memory and processor time are limited" '"result": "1048576\n10\n"'
id=$absent
shown "a program that is not there is named" "cannot run './no-such-program'"
id=$(tail -n 1 many.txt)
shown "a batch gives each its result" '"result": "c"'
id=$score
shown "a model scores a payload" '"result": "{\"'
id=$unnamed
shown "an input that is missing is named" "has no 'x'"
id=$ragged
shown "lists of other length are refused" "nested lists of equal length"
id=$broken
shown "what is no JSON is refused" "not JSON"

# --- containers: an engine that says what it was asked ---
mkdir bin
cat >bin/engine <<'EOF'
#!/bin/sh
echo "$(basename "$0") $*" >>engines.txt
case $1 in
run) ;;
*) exit 0 ;;
esac
case " $* " in *" slow "*) exec sleep 1000 ;; esac
cat
echo " $GREETING $MLS_JOB_TYPE"
EOF
chmod +x bin/engine
for engine in docker podman crun; do cp bin/engine bin/$engine; done
cat >boxes.yaml <<EOF
job-types:
  - name: boxed
    handler:
      container: registry/image:1
      command: [tool, --flag]
      environment: {GREETING: hello}
      directory: /work
      options: [--network, none]
    limits: {memory: 64M, cpus: 2, cpu: 90s}
  - name: podded
    handler: {container: image, engine: podman}
  - name: bundled
    handler: {container: /bundle, engine: crun}
  - name: stuck
    handler: {container: image, command: [slow]}
    limits: {time: 100ms, grace: 0s}
EOF
old_path=$PATH
PATH=$scratch/bin:$PATH
export PATH
put_box() {
    id=$("$mlscale" queue submit --queue "$q" --config boxes.yaml --type "$1" --payload words)
}
put_box boxed
boxed=$id
put_box podded
podded=$id
put_box bundled
bundled=$id
put_box stuck
stuck=$id
exits "runs containers" 0 worker --queue "$q" --config boxes.yaml --drain
PATH=$old_path
id=$boxed
shown "a container gets payload and variables" '"result": "words hello boxed'
id=$podded
shown "by whichever engine" '"result": "words  podded'
id=$stuck
shown "and ends at its limit" "longer than limits.time"
sed 's/mls-[0-9]*-/mls-P-/' engines.txt >out
own="--env MLS_JOB_ID --env MLS_JOB_ATTEMPT --env MLS_JOB_TYPE"
says "docker is asked" out "docker run --rm --interactive --name mls-P-$boxed-1 --memory 67108864 --cpus 2 --ulimit cpu=90 --workdir /work --env GREETING $own --network none registry/image:1 tool --flag"
says "podman is asked" out "podman run --rm --interactive --name mls-P-$podded-1 $own image"
says "crun is asked" out "crun run --bundle /bundle mls-P-$bundled-1"
says "a container that was ended is removed" out "docker rm --force mls-P-$stuck-1"
[ "$(grep -c -e " rm " -e " delete " out)" = 1 ]
result "and only that" $?
printf 'job-types:\n  - {name: a, handler: {container: x, engine: lxc}}\n' >bad.yaml
refuses "an engine is known" "2:25: type 'a': engine is none of docker, podman and crun"
printf 'job-types:\n  - {name: a, handler: {container: x, engine: crun, command: [y]}}\n' >bad.yaml
refuses "a bundle has its own command" "2:25: type 'a': command, environment"
printf 'job-types:\n  - {name: a, handler: {container: --x}}\n' >bad.yaml
refuses "an image is no option" "2:25: type 'a': the container's name"
printf 'job-types:\n  - {name: a, handler: {command: [x], engine: docker}}\n' >bad.yaml
refuses "an engine is of containers" "2:39: type 'a': handler.engine is nothing for its kind"

# --- control groups, where we may make them ---
# run_group TYPE: a job of groups.yaml, run to its end; its id is in $id
run_group() {
    id=$("$mlscale" queue submit --queue "$q" --config groups.yaml --type "$1")
    "$mlscale" worker --queue "$q" --config groups.yaml --drain >out 2>err
}
mount=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
group=$mount/mls-test-$$
if [ -n "$mount" ] && mkdir "$group" 2>/dev/null && [ -w "$group/cgroup.kill" ]; then
    cat >groups.yaml <<'EOF'
job-types:
  - name: escape
    handler: {command: [sh, -c, 'exec 4>alive; setsid sleep 1000 & cat /proc/self/cgroup']}
  - name: bound
    handler: {command: [sh, -c, 'cd "$MLS_CGROUP"/mls-*; cat memory.max memory.oom.group cpu.max']}
    limits: {memory: 1G, cpus: 2}
  - name: hungry
    handler: {command: [sh, -c, 'head -c 40000000 /dev/zero | tail -n 1 | wc -c']}
    resources: {memory: 16M, escalate: [24M, 256M]}
  - name: glutton
    handler: {command: [sh, -c, 'tail /dev/zero || echo went on']}
    limits: {memory: 16M}
EOF
    # A service's own group has the worker in it: no reason that its jobs have none.
    sh -c "echo 0 >$group/cgroup.procs && exec '$mlscale' worker --queue '$q' \
        --config groups.yaml" >service.txt 2>&1 &
    pid=$!
    watch_over alive
    "$mlscale" queue submit --queue "$q" --type escape --wait >out 2>err
    says "a program is in a group below its worker's" out "/mls-test-$$/mls-"
    wait $watch
    result "what left its process group is ended too" $?
    kill -TERM $pid
    wait $pid

    export MLS_CGROUP="$group"
    watch_over alive
    run_group escape
    shown "or in one below another folder" "/mls-test-$$/mls-"
    wait $watch
    result "with the same end" $?
    if grep -qw cpu "$group/cgroup.controllers" && grep -qw memory "$group/cgroup.controllers"; then
        run_group bound
        shown "memory and processors are bounded" '"result": "1073741824\n1\n200000 100000\n"'
        run_group hungry
        shown "a program that uses too much gets more" '"result": "40000000\n"'
        shown "in the next class and the one after" '"escalations": 2'
        shown "since its group says so" 'it used more than limits.memory'
        run_group glutton
        shown "all of it ends" '"error_message": "it used more than limits.memory"'
    else
        echo "# limits of control groups are left out: there is not cpu and memory to lend"
    fi
    rmdir "$group"
    result "and nothing is left of them" $?
    unset MLS_CGROUP
else
    rmdir "$group" 2>/dev/null
    echo "# control groups are left out: there are none of version 2 that we may make"
fi

# --- faults of the file ---
echo "job-types: [{name: a, handler: {comand: [x]}}]" >bad.yaml
refuses "an unknown key is refused with the nearest" "1:33: unknown key 'comand'; did you mean 'command'?"
printf 'job-types:\n  - name: a\n    handler: {command: [x]}\n    colour: red\n' >bad.yaml
refuses "or with all there are" "4:5: unknown key 'colour'; there are name, version"
printf 'job-types:\n  - name: a\n    handler: {command: [x]}\n    priority: 10\n' >bad.yaml
refuses "a number out of range is refused" "4:15: priority: 10 is out of range: 0 to 9"
printf 'job-types:\n  - name: a\n    handler: {command: [x]}\n    retention: soon\n' >bad.yaml
refuses "a time is one" "4:16: retention: 'soon' is not a time, such as 250ms"
printf 'job-types:\n  - name: a\n    name: b\n' >bad.yaml
refuses "a key is there once" "3:5: key 'name' is there twice"
printf 'job-types:\n  - name: a b\n' >bad.yaml
refuses "a name is one" "2:11: name: 'a b' is not a name"
printf 'job-types:\n  - name: a\n' >bad.yaml
refuses "a type has a handler" "2:5: type 'a': its handler has none of"
printf 'job-types:\n  - handler: {command: [x]}\n' >bad.yaml
refuses "a type has a name" "2:5: this job type has no name"
printf 'job-types:\n  - {name: a, handler: {command: [x]}}\n  - {name: a, handler: {command: [x]}}\n' >bad.yaml
refuses "and that once" "3:5: type 'a' is there already, in line 2"
printf 'job-types:\n  - {name: a, handler: {command: x}}\n' >bad.yaml
refuses "a command is a list" "2:34: command is a list of words"
printf 'job-types:\n  - {name: a, handler: {score: no.onnx}}\n' >bad.yaml
refuses "a model is there" "2:25: type 'a': there is no file"
printf 'job-types:\n  - {name: a, handler: {c: thing}}\n' >bad.yaml
refuses "a handler of the host is there" "2:25: type 'a': no handler 'thing' was registered"
printf 'job-types:\n  - {name: a, handler: {command: [x], c: y}}\n' >bad.yaml
refuses "a type has one handler" "2:15: type 'a': its handler has more than one of"
printf 'job-types:\n  - {name: a, handler: {command: [x]}, schedule: {cron: 0 25 * * *}}\n' >bad.yaml
refuses "a schedule has a line of cron" "2:57: cron: cron line '0 25 * * *', field 2 (hour)"
printf 'job-types: [\n' >bad.yaml
refuses "what is no YAML is refused" "2:1: "
printf '\xff\n' >bad.yaml
refuses "what is no text is refused" "1:1: "
: >bad.yaml
refuses "an empty file is refused" "1:1: the file is empty"
printf 'job-types: &a [*a]\n' >bad.yaml
refuses "a list in itself is refused" "1:12: a job type is a mapping"

# --- signals ---
echo "job-types: [{name: turn, handler: {command: [echo, first]}}]" >turn.yaml
"$mlscale" worker --queue "$q" --config turn.yaml >worker.out 2>said &
pid=$!
: >worker.err
turn() {
    "$mlscale" queue submit --queue "$q" --type turn --wait >out 2>err
    [ "$(cat out)" = "$1" ]
    result "$2" $?
}
turn first "a worker serves"
echo "job-types: [{name: turn, handler: {command: [echo, second]}}]" >turn.yaml
kill -HUP $pid
hears "for jobs from now on"
turn second "SIGHUP makes it read the file again"
echo "job-types: [{name: turn, handler: {command: [echo, third], x: y}}]" >turn.yaml
kill -HUP $pid
hears "nothing was changed"
turn second "a bad file changes nothing"
cp worker.err err
says "and is named with the fault" err "turn.yaml:1:"
echo "job-types: [{name: turn, handler: {command: [sh, -c, 'echo >told; read -r _ <go; echo done']}}]" >turn.yaml
kill -HUP $pid
hears "for jobs from now on"
id=$("$mlscale" queue submit --queue "$q" --type turn)
hear told 1
kill -TERM $pid
echo >&3
wait $pid
result "SIGTERM ends it well" $?
shown "when what ran has ended" '"result": "done\n"'

echo "job-types: [{name: turn, handler: {command: [sh, -c, 'echo >told; exec sleep 100']}}]" >turn.yaml
"$mlscale" worker --queue "$q" --config turn.yaml --stop-timeout 0 >worker.out 2>worker.err &
pid=$!
id=$("$mlscale" queue submit --queue "$q" --type turn)
hear told 1
kill -INT $pid
wait $pid
result "SIGINT too" $?
shown "what takes longer goes back to the queue" '"state": "ready"'
echo "job-types: [{name: turn, handler: {command: [sh, -c, 'exec 4>alive; echo >told; exec sleep 100']}}]" >turn.yaml
watch_over alive
"$mlscale" worker --queue "$q" --config turn.yaml >worker.out 2>worker.err &
pid=$!
hear told 1
"$mlscale" queue cancel "$id" --queue "$q" >out 2>err
"$mlscale" queue submit --queue "$q" --type other >/dev/null
wait $watch
result "a cancelled program is ended" $?
kill -TERM $pid
wait $pid
shown "and its job is cancelled" '"state": "cancelled"'

# --- the command line ---
exits "shows help" 0 worker --help
exits "wants a file" 2 worker --queue "$q"
exits "wants a queue" 2 worker --config t.yaml
exits "names a file that is not there" 1 worker --queue "$q" --config none.yaml
says "by path" err "there is no file 'none.yaml'"
exits "refuses a type that the file has not" 2 queue submit --queue "$q" --config t.yaml --type u
# --- the name ---
own=sqlite:$scratch/own.db
"$mlscale" queue submit --queue "$own" --type t --payload x >out 2>err
exits "runs under a name" 0 worker --queue "$own" --config t.yaml --drain --name host-7
exits "of its own" 0 queue show 1 --queue "$own"
says "by which its jobs tell whose they are" out "owner          host-7"

# --- why a job waits: asked by a program that the worker runs ---
cat >asks.yaml <<EOF
job-types:
  - name: asks
    handler: {command: ["$mlscale", queue, show, "2", --queue, "$own"]}
EOF
"$mlscale" queue submit --queue "$own" --type elsewhere >out 2>err
"$mlscale" queue submit --queue "$own" --type asks >out 2>err
exits "runs what asks" 0 worker --queue "$own" --config asks.yaml --drain
exits "how another waits" 0 queue show 3 --queue "$own" --result
says "which is ready" out "state          ready"
! grep -q "no worker is there" out
result "though a worker is there" $?
exits "and none is then" 0 queue show 2 --queue "$own"
says "as it says" out "no worker is there"
tap_end
