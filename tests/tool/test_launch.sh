#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale launch: environment, output, failures, signals, and hosts by an ssh that is a script.
# shellcheck disable=SC2016,SC2238 # the ranks' shells expand; cut is a file
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
cd "$scratch" || exit 1

# What ranks wait for and what they tell are lines of `pipe`; those that have `alive` open live. A
# rank that sleeps waits for nothing but its end.
mkfifo pipe alive
exec 3<>pipe

# gone PID...: none of them runs (what waits for its parent has ended)
gone() {
    for pid; do
        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null)
        case $state in '' | Z | X) ;; *) return 1 ;; esac
    done
}

# checks LABEL COMMAND...: the command succeeds; the last command's output stays
checks() {
    label=$1
    shift
    "$@" >checked 2>&1
    result "$label" $?
}

# lines LABEL out|err TEXT...: the last command's lines are these, in any order
lines() {
    label=$1
    file=$2
    shift 2
    printf '%s\n' "$@" | sort >expected
    sort "$file" >sorted
    cmp -s expected sorted
    result "$label" $?
}

# --- what ranks are told ---
exits "ranks are started" 0 launch -n 3 -- sh -c 'echo "$MLSCALE_RANK of $MLSCALE_SIZE"'
lines "and told who they are" out "[0] 0 of 3" "[1] 1 of 3" "[2] 2 of 3"
exits "shm is for one host" 0 launch -n 2 --no-prefix -- sh -c 'echo "$MLSCALE_GROUP"'
checks "its name is one and random" sh -c 'sort -u out | grep -cxE "shm:[0-9a-f]{16}" | grep -qx 1'
exits "tcp is told a port of this host" 0 launch -n 1 --transport tcp --no-prefix -- \
    sh -c 'echo "$MLSCALE_GROUP"'
checks "and a name there" grep -qxE 'tcp://127\.0\.0\.1:[0-9]+/[0-9a-f]{16}' out
exits "it may be told to say all in plain" 0 launch -n 1 --transport tcp --no-encryption --no-prefix -- \
    sh -c 'echo "$MLSCALE_GROUP"'
says "in the URL" out "?encrypt=off"
exits "a token comes with it" 0 launch -n 2 --no-prefix -- sh -c 'echo "$MLSCALE_GROUP_TOKEN"'
cp out first
checks "the same for all ranks" sh -c 'sort -u out | grep -cxE "[0-9a-f]{64}" | grep -qx 1'
"$mlscale" launch -n 1 --no-prefix -- sh -c 'echo "$MLSCALE_GROUP_TOKEN"' >out 2>err
checks "and another one each time" sh -c '! grep -qxF "$(cat out)" first'
echo "to the first" >in
"$mlscale" launch -n 2 -- cat <in >out 2>err
lines "standard input is the first rank's" out "[0] to the first"
exits "a program's options are its own" 0 launch -n 1 printf '%s\n' -n --hosts
lines "also without --" out "[0] -n" "[0] --hosts"

# --- output ---
exits "two streams" 0 launch -n 2 -- sh -c 'echo out; echo err >&2; printf "no end"'
lines "each line has its rank" out "[0] out" "[1] out" "[0] no end" "[1] no end"
lines "in both streams" err "[0] err" "[1] err"
head -c 40000 /dev/zero | tr '\0' y >long
exits "a line that is too long" 0 launch -n 1 -- cat "$scratch/long"
awk '{ print substr($0, 1, 5), length($0) }' out >cut
checks "is cut, and says so" sh -c "printf '[0] y 16388\n[0]+y 16388\n[0]+y 7236\n' | cmp - cut"
exits "much output" 0 launch -n 3 -- seq 50000
for rank in 0 1 2; do
    sed -n "s/^\[$rank\] //p" out >of_rank
    seq 50000 | cmp -s - of_rank
    result "is whole and in order, of rank $rank" $?
done
("$mlscale" launch -n 2 -- yes 2>err; echo $? >code) | head -n 1 >out
checks "when nobody reads on, all ends" grep -qx 141 code

rm -f told.*
sh -c 'exec "$0" launch -n 2 --no-prefix -- sh -c "$1" <&- >&- 2>&-' "$mlscale" 'trap "exit 9" TERM
    cat || exit 8
    yes "$(printf "\\017")" | head -c 300000 | tee /dev/stderr # as many SIGTERM, were it no output
    echo "$MLSCALE_RANK" >"told.$MLSCALE_RANK"'
result "with no standard files, what ranks say is output, and goes nowhere" $?
checks "and they have said all of it" cat told.0 told.1

# --- failures ---
exits "one fails" 7 launch -n 3 -- sh -c '
    [ $MLSCALE_RANK != 1 ] || { { read -r _ && read -r _; } <pipe; exit 7; }
    echo $$ >pid.$MLSCALE_RANK; echo >pipe; exec sleep 600'
says "it is said which and why" err "mlscale launch: rank 1 (process "
says "with its exit code" err ") ended with exit code 7; the others are told to end"
checks "they have ended" gone "$(cat pid.0)" "$(cat pid.2)"
exits "one is ended by a signal" 139 launch -n 2 -- \
    sh -c '[ $MLSCALE_RANK = 0 ] || kill -SEGV $$; exec sleep 600'
says "which is named" err "was ended by signal 11 (Segmentation fault)"
exits "who does not end" 3 launch -n 2 --stop-timeout 0 -- \
    sh -c '[ $MLSCALE_RANK = 0 ] || { read -r _ <pipe; exit 3; }
        trap "" TERM; echo $$ >deaf; echo >pipe; exec sleep 600'
says "is killed" err "1 ranks did not end within 0 s, and was killed"
checks "and gone" gone "$(cat deaf)"
exits "what a rank leaves behind" 0 launch -n 1 --stop-timeout 600 -- sh -c 'sleep 600 & echo $! >left; echo done'
lines "does not keep launch" out "[0] done"
checks "and is ended" gone "$(cat left)"
exits "no such program" 127 launch -n 2 -- no/such/program
says "is told" err "cannot start 'no/such/program': No such file or directory"
exits "what cannot be run" 126 launch -n 2 -- /dev/null
exits "-n is missed" 2 launch -- true
exits "the program is missed" 2 launch -n 2
exits "too many ranks are refused" 2 launch -n 1025 -- true
exits "other transports are refused" 2 launch -n 2 --transport mpi -- true
exits "no ranks are too few" 2 launch -n 0 -- true
says "of the option as it is written" err " -n 0: expected a whole number from 1 to 1024"
for option in '--port 4000' --no-encryption; do
    for transport in '' '--transport shm'; do
        # shellcheck disable=SC2086 # words
        exits "$option is not for ranks that meet by shm $transport" 2 \
            launch -n 2 $transport $option -- true
        says "which says for whom it is" err "${option% *} is for ranks that meet by tcp"
    done
done
exits "no command is remote where all ranks are here" 2 launch -n 2 --remote-command mlscale -- true
says "which says how they would be elsewhere" err "name hosts by --hosts FILE"

# --- signals ---
# wait_ranks COUNT: launch runs in the background, and so many ranks have said something
wait_ranks() {
    checks "ranks are there" hear pipe "$1"
}
polite='trap "echo got \$MLSCALE_RANK >>got; exit 0" TERM HUP; echo >pipe
    sleep 600 & while :; do wait; done' # a wait ends by a signal as well
patient='exec 4>alive; echo $$ >up.$MLSCALE_RANK; echo >pipe; exec sleep 600'
for signal in TERM HUP; do
    rm -f got
    "$mlscale" launch -n 2 -- sh -c "$polite" >out 2>err &
    launched=$!
    wait_ranks 2
    kill -$signal $launched
    wait $launched
    result "ranks that end well by $signal are no failure" $?
    checks "and all of them had it" sh -c 'sort got | tr "\n" " " | grep -qx "got 0 got 1 "'
done
"$mlscale" launch -n 2 -- sh -c 'echo >pipe; exec sleep 600' >out 2>err &
launched=$!
wait_ranks 2
kill -TERM $launched
wait $launched 2>/dev/null
[ $? = 143 ]
result "a signal that ends the ranks ends launch" $?
checks "which says nothing of it" sh -c '! [ -s err ]'
"$mlscale" launch -n 2 --stop-timeout 600 -- \
    sh -c '(trap "" TERM; exec sleep 600) & trap "trap : TERM; echo >pipe" TERM; echo >pipe
        while :; do wait; done' \
    >out 2>err &
launched=$!
wait_ranks 2
kill -TERM $launched
checks "which stay when they are told to end" hear pipe 2
kill -TERM $launched
wait $launched 2>/dev/null
[ $? = 137 ]
result "told twice, launch kills" $?
watch_over alive
"$mlscale" launch -n 2 -- sh -c "$patient" >out 2>err &
launched=$!
wait_ranks 2
kill -STOP "$(cat up.1)"
kill -KILL $launched
wait $launched 2>/dev/null
checks "nothing outlives a launch that is killed" wait $watch

# --- hosts ---
mkdir bin
cat >bin/ssh <<'EOF'
#!/bin/sh
echo "$*" >>"$scratch/ssh.log"
while [ "$1" != -- ]; do shift; done
FAKE_HOST=$2
export FAKE_HOST
shift 2
[ "$FAKE_HOST" != unreachable ] || { echo "ssh: no route" >&2; exit 255; }
sh -c "$*" <&0
EOF
chmod +x bin/ssh
PATH=$scratch/bin:$PATH
export scratch PATH
printf '# two of them\none slots=2\n\nuser@two slots=4 # the other\n' >hosts
exits "hosts have ranks" 0 launch --hosts hosts -n 5 --remote-command "$mlscale" -- \
    sh -c 'echo "$MLSCALE_RANK of $MLSCALE_SIZE on $FAKE_HOST $1"; pwd >&2' - "it's a \$word"
lines "in the order of their slots" out "[0] 0 of 5 on one it's a \$word" \
    "[1] 1 of 5 on one it's a \$word" "[2] 2 of 5 on user@two it's a \$word" \
    "[3] 3 of 5 on user@two it's a \$word" "[4] 4 of 5 on user@two it's a \$word"
checks "in the same folder" sh -c '[ "$(sed "s/^\[.\] //" err | sort -u)" = "$(pwd -P)" ]'
exits "as many as there are slots" 0 launch --hosts hosts --remote-command "$mlscale" --no-prefix \
    -- sh -c 'echo "$MLSCALE_GROUP_TOKEN $MLSCALE_GROUP"'
checks "one token and one URL" sh -c 'sort -u out | grep -cxE "[0-9a-f]{64} tcp://one:[0-9]+/[0-9a-f]{16}" | grep -qx 1'
checks "and six lines" sh -c '[ "$(wc -l <out)" = 6 ]'
checks "no token is on a command line" sh -c '! grep -qE "[0-9a-f]{16}" ssh.log'
exits "--port is heard" 0 launch --hosts hosts --port 4321 --remote-command "$mlscale" \
    --no-prefix -- sh -c 'echo "$MLSCALE_GROUP"'
says "in the URL" out "tcp://one:4321/"
rm -f up.*
exits "one fails on a host" 9 launch --hosts hosts --remote-command "$mlscale" -- \
    sh -c '[ $MLSCALE_RANK != 4 ] || { for _ in 0 1 2 3 5; do read -r _; done <pipe; exit 9; }
        echo $$ >up.$MLSCALE_RANK; echo >pipe; exec sleep 600'
says "its agent says which" err "mlscale launch: rank 4 (process "
says "and launch which host" err "host user@two with ranks 2 to 5 ended with exit code 9; the others"
checks "all have ended" gone "$(cat up.0)" "$(cat up.1)" "$(cat up.2)" "$(cat up.3)" "$(cat up.5)"
rm -f got
"$mlscale" launch --hosts hosts -n 3 --remote-command "$mlscale" -- sh -c "$polite" >out 2>err &
launched=$!
wait_ranks 3
kill -TERM $launched
wait $launched
result "signals go to hosts" $?
checks "to all ranks" sh -c 'sort got | tr "\n" " " | grep -qx "got 0 got 1 got 2 "'
watch_over alive
"$mlscale" launch --hosts hosts -n 3 --remote-command "$mlscale" -- sh -c "$patient" >out 2>err &
launched=$!
wait_ranks 3
kill -KILL $launched
wait $launched 2>/dev/null
checks "hosts notice that launch is gone" wait $watch
printf '2001:db8::1\nuser@[fe80::2%%eth0]\n' >hosts
exits "hosts may be addresses of IPv6" 0 launch --hosts hosts --port 4321 --no-prefix \
    --remote-command "$mlscale" -- sh -c 'echo "$FAKE_HOST $MLSCALE_GROUP"'
checks "which have brackets in the URL" \
    sh -c '[ "$(grep -cF " tcp://[2001:db8::1]:4321/" out)" = 2 ]'
checks "and none for ssh" sh -c '[ "$(cut -d " " -f 1 out | sort | tr "\n" " ")" = "2001:db8::1 user@fe80::2%eth0 " ]'
printf 'unreachable\none\n' >hosts
exits "a host that is not reached" 255 launch --hosts hosts --remote-command "$mlscale" -- sleep 600
says "is named" err "host unreachable with rank 0 ended with exit code 255"
printf 'localhost slots=2\n' >hosts
exits "this host needs no ssh" 0 launch --hosts hosts --no-prefix -- sh -c 'echo "$MLSCALE_GROUP"'
says "and has shm" out "shm:"
exits "more ranks than slots" 1 launch --hosts hosts -n 3 -- true
says "are refused" err "3 ranks want as many slots; the hosts have 2"
for line in '-oProxyCommand=x' 'a;b' 'a:22' '[a]' '[::1' 'user@' 'a%b' 'a slots=0' 'a slots=x' 'a slots=1 b' 'a b'; do
    echo "$line" >hosts
    exits "a bad line: $line" 1 launch --hosts hosts -- true
    says "is told" err "hosts:1: "
done
: >hosts
exits "no hosts" 1 launch --hosts hosts -- true
for here in localhost 127.0.0.1 ::1 '[::1]'; do
    printf '%s\none\n' "$here" >hosts
    exits "$here is no place to meet" 1 launch --hosts hosts -- true
    says "for another host" err "write its name"
done
exits "shm is for one host" 1 launch --hosts hosts --transport shm -- true
echo rubbish >in
"$mlscale" launch --agent <in >out 2>err
checks "an agent believes only a launch" grep -q "is for another mlscale launch" err
printf 'mlscale launch 1\0shm:a\0' | "$mlscale" launch --agent >out 2>err
checks "which says all" grep -q "is not whole" err
tap_end
