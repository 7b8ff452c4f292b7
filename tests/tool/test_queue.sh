#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mlscale queue: what is submitted is listed, shown, changed, counted, purged.
[ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR # a commit is synced: spare the disk
# shellcheck source=tests/tool/tap.sh
. "${abs_top_srcdir:-$PWD}/tests/tool/tap.sh"
cd "$scratch" || exit 1
q=sqlite:$scratch/jobs.db
"$mlscale" queue init --queue "$q" >init.txt 2>&1
if grep -q "no queue driver" init.txt; then
    echo "1..0 # SKIP the library has no sqlite queues"
    exit 0
fi

# same LABEL TEXT: the last command's output is this line
same() {
    [ "$(cat out)" = "$2" ]
    result "$1" $?
}

exits "makes a queue" 0 queue init --queue "$q"
says "and says so" out "is ready"
exits "takes the URL as it is" 0 queue init "$q"
exits "but once" 2 queue init "$q" --queue "$q"
exits "wants --queue for others" 2 queue stats "$q"
says "and says so" err "name a queue by --queue"
exits "takes a URL with options" 0 queue init --queue "$q?poison=2" --json
says "and prints JSON" out '"ready": true'

exits "does not make one to look at it" 1 queue stats --queue "sqlite:$scratch/slip.db"
says "but says that there is none" err "there is no file"

exits "submits a job" 0 queue submit --queue "$q" --type mail --payload hello --priority 7
same "and prints its id" 1
printf 'one\ntwo\n\nfour' >lines
exits "submits a job for each line" 0 queue submit --queue "$q" --type line --lines lines \
    --in-queue slow --attempts 3
same "and prints their ids" "$(printf '2\n3\n4\n5')"
printf 'bytes \377\000 of a file' >bytes
exits "submits a file" 0 queue submit --queue "$q" --type file --payload-file bytes --key k --json
says "with ids as JSON" out '"ids"'
exits "refuses a taken key" 1 queue submit --queue "$q" --type file --key k
exits "or joins it" 0 queue submit --queue "$q" --type file --key k --join
same "by its id" 6
exits "schedules a job" 0 queue submit --queue "$q" --type later --delay 3600000

exits "lists all" 0 queue list --queue "$q"
holds "a line each" sh -c "\"$mlscale\" queue list --queue '$q' | awk 'END {exit NR != 8}'"
exits "lists a type" 0 queue list --queue "$q" --type line
says "with its named queue" out "slow"
says "and attempts" out "0/3"
exits "lists by state as JSON" 0 queue list --queue "$q" --state scheduled --json
says "with that job" out '"type": "later"'
exits "lists a page" 0 queue list --queue "$q" --after 5 --limit 1 --json
says "behind the last" out '"id": 6'

exits "shows a job" 0 queue show 1 --queue "$q"
says "with its priority" out "priority       7"
says "and its state" out "state          ready"
says "and why it stays so" out "waits          no worker is there"
"$mlscale" queue show 6 --queue "$q" --payload >payload
holds "as it was" cmp bytes payload
exits "shows bytes as JSON" 0 queue show 6 --queue "$q" --json
says "in base64" out '"payload_base64": "Ynl0ZXMg/wAgb2YgYSBmaWxl"'
exits "has no result yet" 1 queue show 6 --queue "$q" --result
exits "says which job is not there" 1 queue show 99 --queue "$q"
says "by id" err "there is no job 99"

exits "counts" 0 queue stats --queue "$q" --json
says "the ready" out '"ready": 6'
says "and all that were submitted" out '"submitted": 7'
exits "counts a named queue" 0 queue stats --queue "$q" --in-queue slow
says "for people" out "submitted               4"

exits "cancels by id" 0 queue cancel 1 2 --queue "$q"
same "and counts" "2 cancelled"
exits "not twice" 1 queue cancel 1 --queue "$q"
says "and says why" err "only jobs that have not ended can be cancelled: job 1 is cancelled"
exits "nor what waits again" 1 queue retry 3 --queue "$q"
says "and says why" err "only dead and cancelled jobs can be made ready again: job 3 is "
exits "cancels all of a type" 0 queue cancel --all --type line --queue "$q" --json
says "counting as JSON" out '"cancelled": 3'
exits "retries" 0 queue retry --all --state cancelled --type line --queue "$q"
same "what was cancelled" "4 ready"

exits "purges what ended" 0 queue purge --queue "$q"
same "and counts" "1 purged"
exits "but nothing that is younger" 0 queue purge --queue "$q" --older-than 3600
same "than asked" "0 purged"
exits "purges no others" 2 queue purge --queue "$q" --state ready
says "and says what would" err "queue cancel"

exits "exports" 0 queue export --queue "$q" --output jobs.jsonl
holds "a line for each job" awk 'END {exit NR != 6}' jobs.jsonl
holds "with payloads" grep -q '"payload":"four"' jobs.jsonl
exits "says where it cannot" 1 queue export --queue "$q" --output no/such/file
says "by path" err "no/such/file"

exits "makes a job wait" 0 queue submit --queue "$q" --type child --after 7 --after 7
same "with an id of its own" 8
exits "shows it" 0 queue show 8 --queue "$q"
says "blocked" out "state          blocked"
exits "or makes it wait for any end" 0 queue submit --queue "$q" --type any --after 7 --any-end
exits "cancels what it waits for" 0 queue cancel 7 --queue "$q"
exits "which cancels it" 0 queue show 8 --queue "$q"
says "and says why" out "job 7, which it depends on, is cancelled"
exits "but not the other" 0 queue show 9 --queue "$q"
says "which is ready" out "state          ready"
exits "does not wait for what is not there" 1 queue submit --queue "$q" --type t --after 99
says "and says which" err "there is no job 99"
exits "nor for what is no job" 2 queue submit --queue "$q" --type t --after x

exits "pauses a type" 0 queue pause --queue "$q" --type line
same "and says so" "queue *, type line: paused"
exits "pauses a named queue" 0 queue pause --queue "$q" --in-queue slow --json
says "in JSON" out '"paused": true'
exits "lists what is paused" 0 queue rules --queue "$q"
grep -qE '^slow +\* +\* +yes +0 +- +- +-$' out
result "for people" $?
exits "lists it as JSON" 0 queue rules --queue "$q" --json
says "with null for any" out '"queue": null'
exits "shows a job of the type" 0 queue show 3 --queue "$q"
says "and that it is paused" out "waits          queue slow, type *: paused"
exits "in JSON too" 0 queue show 3 --queue "$q" --json
says "says why it waits" out '"waits": "queue slow, type *: paused"'
exits "limits what runs" 0 queue limit --queue "$q" --type line --running 2
same "and says so" "queue *, type line, tenant *: at most 2 run"
exits "limits a tenant's rate" 0 queue limit --queue "$q" --tenant acme --rate 5 --per 60000 --json
says "with a burst of its own" out '"burst": 5'
exits "lists limits" 0 queue rules --queue "$q"
grep -qE '^\* +line +\* +yes +0 +2 +- +-$' out
result "with pauses of the same" $?
grep -qE '^\* +\* +acme +- +0 +- +- +5 in 60000 ms \(5 at once\)$' out
result "and rates" $?
exits "takes limits back" 0 queue limit --queue "$q" --tenant acme --none
same "and says so" "queue *, type *, tenant acme: no limit"
exits "of what had them" 0 queue limit --queue "$q" --type line --none
exits "gives a tenant more turns" 0 queue weigh --queue "$q" --tenant acme --weight 300
same "and says so" "queue *, type *, tenant acme: weight 300"
exits "lists weights" 0 queue rules --queue "$q" --json
says "beside limits" out '"weight": 300'
exits "takes weights back" 0 queue weigh --queue "$q" --tenant acme --none
exits "wants a weight" 2 queue weigh --queue "$q" --tenant acme
says "and says so" err "--weight"
exits "wants a limit" 2 queue limit --queue "$q" --type line
says "and says which there are" err "--running"
exits "wants a rate for a burst" 2 queue limit --queue "$q" --running 1 --burst 3
exits "resumes a type" 0 queue resume --queue "$q" --type line
says "and says so" out "queue *, type line: resumed"
says "and that others are paused" out "other pauses hold such jobs still"
exits "resumes a named queue" 0 queue resume --queue "$q" --in-queue slow
same "and no other is" "queue slow, type *: resumed"
exits "lists no pause" 0 queue rules --queue "$q" --json
says "then" out '"rules": []'
exits "wants to know what to pause" 2 queue pause --queue "$q"
says "and what there is" err "--in-queue"
exits "pauses all or some" 2 queue pause --queue "$q" --all --type line

exits "has a job submitted each year" 0 queue schedule yearly --cron '0 0 1 1 *' --type report \
    --payload all --tenant acme --missed once --queue "$q"
says "and says when" out "yearly: fires next at 2"
says "to the minute" out "-01-01 00:00:00Z"
exits "lists schedules" 0 queue schedules --queue "$q"
grep -qE '^yearly +0 0 1 1 \* +UTC +once +report +2[0-9]+-01-01 00:00:00Z +-$' out
result "for people" $?
exits "schedules in a time zone" 0 queue schedule leap --cron '30 2 29 feb *' --zone UTC \
    --type report --queue "$q" --json
says "and says when as JSON" out '"next_ms": '
exits "lists schedules as JSON" 0 queue schedules --queue "$q" --json
says "with who set them" out '"source": "mlscale queue schedule"'
says "and whose jobs they are" out '"tenant": "acme"'
says "and null for never" out '"last_ms": null'
exits "refuses a line that is none" 1 queue schedule x --cron '0 25 * * *' --type t --queue "$q"
says "and says where" err "column 3"
exits "knows no such zone" 1 queue schedule x --cron @daily --zone Mars/Base --type t --queue "$q"
says "and says which" err "Mars/Base"
exits "wants a line" 2 queue schedule x --type t --queue "$q"
says "and says so" err "--cron is missing"
exits "wants a type" 2 queue schedule x --cron @daily --queue "$q"
exits "knows three rules of what was missed" 2 queue schedule x --cron @daily --type t \
    --missed twice --queue "$q"
says "and says which" err "skip, once and all"
exits "ends a schedule" 0 queue unschedule yearly --queue "$q"
same "and says so" "yearly: fires no more"
exits "not twice" 1 queue unschedule yearly --queue "$q"
says "and says which" err "yearly"
exits "ends the other" 0 queue unschedule leap --queue "$q" --json

exits "changes nothing" 2 queue cancel 9 x --queue "$q"
exits "when an id is none" 0 queue show 9 --queue "$q"
says "not even what is before it" out "state          ready"

# Jobs of several tenants.
shared=sqlite:$scratch/shared.db
"$mlscale" queue init --queue "$shared" >out 2>err
for tenant in acme zeta acme zeta acme zeta; do
    "$mlscale" queue submit --queue "$shared" --type t --tenant $tenant >out 2>err
done
exits "lists a tenant's jobs" 0 queue list --queue "$shared" --tenant zeta --limit 2 --json
holds "as many as are asked for" [ "$(grep '"id"' out | tr -dc '0-9\n' | xargs)" = "2 4" ]
exits "lists the next" 0 queue list --queue "$shared" --tenant zeta --after 4 --json
holds "and no others" [ "$(grep '"id"' out | tr -dc '0-9\n' | xargs)" = 6 ]
exits "cancels a tenant's jobs" 0 queue cancel --all --tenant acme --queue "$shared"
same "and counts" "3 cancelled"
exits "purges nothing of another" 0 queue purge --tenant zeta --queue "$shared"
same "that has not ended" "0 purged"
exits "exports a tenant's jobs" 0 queue export --tenant zeta --queue "$shared" --output zeta.jsonl
holds "a line for each" awk '/"state":"ready"/ {n++} END {exit n != 3 || NR != 3}' zeta.jsonl

# When jobs begin and end, and what is kept of them.
times=sqlite:$scratch/times.db
"$mlscale" queue init --queue "$times" >out 2>err
exits "takes a time to begin at" 0 queue submit --queue "$times" --type t \
    --run-at 2100-02-28T23:59:58Z --deadline "2100-03-01 00:00:01Z" --ack async
exits "and shows it" 0 queue show 1 --queue "$times"
says "as it was given" out "run at         2100-02-28 23:59:58Z"
says "and the deadline" out "deadline       2100-03-01 00:00:01Z"
exits "takes a deadline from now on" 0 queue submit --queue "$times" --type t --deadline +0 \
    --retention 86400000 --ack durable
# Only what is over is looked at: it is dead for whoever asks then.
exits "and waits for its end" 1 queue submit --queue "$times" --type t --deadline +1 --wait
says "at it" err "deadline"
for time in 2100-02-29T00:00:00Z 2100-01-01 2100-01-01T00:00:00 12 +x +-1 +99999999999999; do
    exits "refuses the time $time" 2 queue submit --queue "$times" --type t --run-at "$time"
    says "and says what is one" err "2026-01-31T12:00:05Z, or +MS"
done
exits "refuses another promise" 2 queue submit --queue "$times" --type t --ack soon
says "and says which there are" err "async"
exits "keeps nothing of a job" 0 queue submit --queue "$times" --type gone --retention 0
"$mlscale" queue cancel --all --type gone --queue "$times" >out 2>err
exits "that has ended" 0 queue list --type gone --queue "$times" --json
says "then" out '"jobs": []'
exits "takes pauses" 0 queue submit --queue "$times" --type t --attempts 5 --backoff 10 \
    --backoff-max 20 --jitter 50
exits "of a part that there can be" 2 queue submit --queue "$times" --type t --jitter 101

# More jobs than are listed at a time.
many=sqlite:$scratch/many.db
"$mlscale" queue init --queue "$many" >out 2>err
seq 5000 >numbers
"$mlscale" queue submit --queue "$many" --type many --lines numbers >out 2>err
exits "cancels many" 0 queue cancel --all --queue "$many"
same "each once" "5000 cancelled"
exits "makes many ready" 0 queue retry --all --state cancelled --queue "$many"
same "each once" "5000 ready"
"$mlscale" queue cancel --all --queue "$many" >out 2>err
exits "purges many" 0 queue purge --queue "$many"
same "each once" "5000 purged"
exits "and leaves none" 0 queue list --queue "$many" --json
says "of them" out '"jobs": []'

# A job whose payload is gone from the disk.
broken=sqlite:$scratch/broken.db
"$mlscale" queue init --queue "$broken" >out 2>err
head -c 20000 /dev/zero >zeros
"$mlscale" queue submit --queue "$broken" --type large --payload-file zeros >out 2>err
"$mlscale" queue submit --queue "$broken" --type small >out 2>err
rm "$scratch"/broken.db-segments/*
exits "says that a job is damaged" 1 queue list --queue "$broken"
says "and which" err "job 1: "
says "and lists the others" out "small"
exits "in JSON too" 1 queue list --queue "$broken" --json
says "lists the others" out '"type": "small"'

# A live view.
top=sqlite:$scratch/top.db
"$mlscale" queue init --queue "$top" >out 2>err
"$mlscale" queue submit --queue "$top" --type watched >out 2>err
exits "looks once" 0 queue top --queue "$top" --once
says "at the states" out "ready 1"
says "without rates, which need two looks" out "submitted -"
exits "and once where there is no terminal" 0 queue top --queue "$top"
exits "or as JSON" 0 queue top --queue "$top" --once --json
says "with counts" out '"ready":1'
says "and no rates" out '"submitted":null'
mkfifo seen
exec 3<>seen # it stays open when nobody reads on
"$mlscale" queue top --queue "$top" --json --interval 100 >seen 2>err &
watcher=$!
timeout 60 head -n 3 seen >looks
kill -TERM $watcher
wait $watcher
result "looks until it is told to end" $?
tail -n 1 looks >out
says "with rates" out '"submitted":0.0'
[ "$(cut -d, -f1 looks | sort -u | wc -l)" = 3 ]
result "each with its time" $?
if script -qec true /dev/null >/dev/null 2>&1; then
    timeout 60 script -qec "'$mlscale' queue top --queue '$top' --interval 100" typed >/dev/null 2>&1 <<EOF
q
EOF
    result "ends by a key on a terminal" $?
    tr '\033' '~' <typed >out
    says "which it gives another screen" out "~[?1049h"
    says "and takes back" out "~[?1049l"
fi

# The command line.
exits "shows the commands" 0 queue --help
says "each with a line" out "purge"
exits "wants a command" 2 queue
exits "refuses another" 2 queue fly
says "by name" err "'queue fly'"
for command in init submit list show stats top cancel retry purge pause resume limit rules export; do
    exits "has help for $command" 0 queue "$command" --help
    says "that says how it is used" out "usage: mlscale queue $command"
done
exits "wants a URL" 2 queue stats
says "and says which" err "sqlite:jobs.db"
exits "refuses a queue of one process" 2 queue stats --queue memory:
says "and says why" err "lives and dies with one process"
exits "refuses an unknown scheme" 1 queue stats --queue nope:x
exits "wants a type" 2 queue submit --queue "$q"
exits "wants an id that is one" 2 queue show x1 --queue "$q"
exits "wants a state that is one" 2 queue list --queue "$q" --state "done"
says "and lists them" err "succeeded"
exits "wants ids or all" 2 queue retry --queue "$q"
exits "wants one payload" 2 queue submit --queue "$q" --type t --payload x --lines lines
tap_end
