#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Groups over hosts: three network namespaces, between which packets take 4 ms each way, get lost
# and overtake each other (wire.c).
set -u
programs=${abs_top_builddir:?}/tests/transport
out=$(mktemp -d) || exit 1
host1=mlscale-a$$
host2=mlscale-b$$
host3=mlscale-c$$
ranks=

clean_up() {
    for pid in $ranks; do
        kill -9 "$pid" 2>/dev/null
    done
    for host in "$host1" "$host2" "$host3"; do
        ip netns del "$host" 2>/dev/null
    done
    rm -rf "$out"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# set_up NAMESPACE NUMBER
set_up() {
    ip -n "$1" address add "10.77.0.$2/24" dev wire && ip -n "$1" link set wire up &&
        ip -n "$1" link set lo up
}

# The wire has one end of a pipe for as long as this script has the other.
make_hosts() {
    ip netns add "$host1" && ip netns add "$host2" && ip netns add "$host3" &&
        mkfifo "$out/wire" && exec 4<>"$out/wire" &&
        "$programs/wire" 4000 200 100 1 "$host1" "$host2" "$host3" <"$out/wire" 4<&- &&
        set_up "$host1" 1 && set_up "$host2" 2 && set_up "$host3" 3
}
if ! make_hosts 2>/dev/null; then
    echo "1..0 # SKIP network namespaces or TUN devices are not permitted here"
    exit 0
fi

# start TIMEOUT_MS CALLS HOST...: a rank in each; returns when they have added up once
start() {
    time=$1
    calls=$2
    shift 2
    rank=0
    ranks=
    rm -f "$out/ready"
    mkfifo "$out/ready" && exec 3<>"$out/ready"
    for host in "$@"; do
        ip netns exec "$host" "$programs/host_rank" tcp://10.77.0.1:4000/hosts "$rank" 3 "$time" \
            "$calls" >"$out/$rank" 2>&3 3>&- 4>&- &
        ranks="$ranks $!"
        rank=$((rank + 1))
    done
    timeout 100 grep -m 3 ready <&3 >"$out/started"
}

# expect NUMBER WORDS PATTERN RANK...: how these have ended
expect() {
    wait
    number=$1
    words=$2
    pattern=$3
    shift 3
    for rank in "$@"; do
        if ! grep -q "$pattern" "$out/$rank"; then
            echo "not ok $number - $words"
            sed "s/^/# /" "$out"/[0-2]
            return
        fi
    done
    echo "ok $number - $words"
}

echo 1..4
start 60000 10 "$host1" "$host1" "$host1"
wait
cp "$out/0" "$out/alone"
start 60000 10 "$host1" "$host2" "$host3"
expect 1 "sums come through delay and loss, as on one host" "$(cat "$out/alone")" 0 1 2
expect 2 "none of them failed" "^MLS_OK" 0 1 2

start 60000 0 "$host1" "$host2" "$host3"
kill -9 "${ranks##* }"
expect 3 "a rank that dies ends the calls of the others" "^MLS_EPEER.*rank 2" 0 1

# No socket is closed, and the deadline ends what waits.
start 5000 0 "$host1" "$host2" "$host3"
ip -n "$host3" link set wire down
expect 4 "a network that is cut ends calls by their deadline" "^MLS_EDEADLINE.* ranks\{0,1\} .* not " 0 1 2
