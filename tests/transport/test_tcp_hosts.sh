#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Groups over hosts: two network namespaces, between which packets take a while and get lost.
set -u
rank=${abs_top_builddir:?}/tests/transport/host_rank
here=mlscale-a$$
there=mlscale-b$$
out=$(mktemp -d) || exit 1

clean_up() {
    ip netns del "$here" 2>/dev/null
    ip netns del "$there" 2>/dev/null
    rm -rf "$out"
}
trap clean_up EXIT

make_hosts() {
    ip netns add "$here" && ip netns add "$there" &&
        ip link add "va$$" netns "$here" type veth peer name "vb$$" netns "$there" &&
        ip -n "$here" address add 10.77.0.1/24 dev "va$$" &&
        ip -n "$there" address add 10.77.0.2/24 dev "vb$$" &&
        ip -n "$here" link set "va$$" up && ip -n "$there" link set "vb$$" up &&
        ip -n "$here" link set lo up && ip -n "$there" link set lo up
}
if ! make_hosts 2>/dev/null; then
    echo "1..0 # SKIP network namespaces are not permitted here"
    exit 0
fi
lossy=
tc -n "$here" qdisc add dev "va$$" root netem delay 4ms loss 1% 2>/dev/null &&
    tc -n "$there" qdisc add dev "vb$$" root netem delay 4ms 2>/dev/null ||
    lossy=" (neither here: there is no netem)"

# start TIMEOUT_MS CALLS: rank 0 here and rank 1 there; what they say comes through a pipe as well
start() {
    rm -f "$out/said"
    mkfifo "$out/said" && exec 3<>"$out/said"
    ip netns exec "$here" "$rank" tcp://10.77.0.1:4000/hosts 0 2 "$1" "$2" | tee "$out/0" >&3 &
    ip netns exec "$there" "$rank" tcp://10.77.0.1:4000/hosts 1 2 "$1" "$2" | tee "$out/1" >&3 &
}

# expect NUMBER STATUS WORDS: how both have ended
expect() {
    wait
    if [ "$(tail -n 1 "$out/0")" = "$2" ] && [ "$(tail -n 1 "$out/1")" = "$2" ]; then
        echo "ok $1 - $3"
    else
        echo "not ok $1 - $3"
        sed 's/^/# /' "$out/0" "$out/1"
    fi
}

echo 1..2
start 60000 10
expect 1 MLS_OK "sums come through delay and loss$lossy"

# The network is cut: no socket is closed, and the deadline ends what waits.
start 5000 0
timeout 60 head -n 2 <&3 >"$out/ready"
ip -n "$here" link set "va$$" down
expect 2 MLS_EDEADLINE "a network that is cut ends calls by their deadline"
