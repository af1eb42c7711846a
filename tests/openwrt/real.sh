#!/bin/bash
# QUICAP on a real OpenWrt userland: procd as process 1, ubusd, netifd, uci, logd, fw4, in namespaces of their own.
#
#     tests/openwrt/real.sh ROOT [QUICAP]
#
# ROOT is a directory with OpenWrt's root file system for this machine (nothing in it is changed), QUICAP a binary that runs there: a
# static one for OpenWrt's own file systems. Each line of the output is something that was seen; the first thing that does not come to
# pass ends the script with an error. Needs root, ip, unshare, nsenter. Read first: docs/openwrt.md.
#
#     br-lan 10.77.0.1 [lan1, quicap0] router wan ---- wan peer quicap0 10.77.0.2
#                                   192.0.2.1     192.0.2.2
set -Eeuo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
source=${1:?ROOT is missing: a directory with the root file system of OpenWrt}
program=$(realpath "${2:-$here/target/debug/quicap}")

main() {
    if [[ ${QUICAP_REAL_INSIDE-} != 1 ]]; then
        QUICAP_REAL_INSIDE=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc --uts --ipc \
            --propagation private bash "$here/tests/openwrt/real.sh" "$source" "$program"
    fi
    # What is made here goes with the namespace.
    mount -t tmpfs none /run
    work=/run/quicap-real
    mkdir "$work"
    make_router
    make_peer
    boot
    local chapter
    for chapter in installation enabling reloading faults crashes network_restart peer_away ways triggers firewall clock upgrade disabling removal; do
        echo "-- $chapter"
        "$chapter"
    done
    echo "all of it was seen"
}

# --- the scene ---

make_router() {
    root=$work/root
    cp -a "$source" "$root"
    mkdir -p "$root"/{dev,proc,sys,tmp}
    mount -t tmpfs none "$root/tmp"
    mount -t sysfs none "$root/sys"
    mount -t tmpfs none "$root/dev"
    mkdir -p "$root"/{dev/net,tmp/{run,lock,log,state,.uci},etc/quicap-ca}
    local device
    for device in null zero random urandom net/tun; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    : >"$root/dev/console"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s /proc/self/fd/0 "$root/dev/stdin"
    ip link set lo up
    ip link add lan1 type veth peer name laptop
    ip link add wan type veth peer name far
    ip link set laptop up
    cat >"$root/etc/config/network" <<'END'
config interface 'loopback'
	option device 'lo'
	option proto 'static'
	option ipaddr '127.0.0.1/8'
config device
	option name 'br-lan'
	option type 'bridge'
	list ports 'lan1'
config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	option ipaddr '10.77.0.1/24'
config interface 'wan'
	option device 'wan'
	option proto 'static'
	option ipaddr '192.0.2.1/24'
END
    # Only what is looked at here runs.
    rm -f "$root"/etc/rc.d/*
    ln -s ../init.d/log "$root/etc/rc.d/S12log"
    ln -s ../init.d/network "$root/etc/rc.d/S20network"
    [[ ! -e $root/etc/init.d/firewall ]] || ln -s ../init.d/firewall "$root/etc/rc.d/S19firewall"
    echo '::sysinit:/etc/init.d/rcS S boot' >"$root/etc/inittab"
    [[ -s $root/etc/config/system ]] || echo "config system" >"$root/etc/config/system"
}

make_peer() {
    ip netns add peer
    ip link set far netns peer name wan
    ip -n peer link set lo up
    ip -n peer addr add 192.0.2.2/24 dev wan
    ip -n peer link set wan up
    mkdir -p "$work/peer"
    cat >"$work/peer/quicap" <<END
config network 'home'
	option tap 'quicap0'
	option ca '$work/peer/ca.crt'
	option cert '$work/peer/node.crt'
	option key '$work/peer/node.key'
	option crl '$work/peer/crl.pem'
END
}

start_peer() {
    ip netns exec peer "$program" run --config "$work/peer/quicap" --socket "$work/peer/sock" 2>>"$work/peer/log" &
    peer=$!
    wait_for "the peer has its TAP" ip -n peer link show quicap0
    ip -n peer addr replace 10.77.0.2/24 dev quicap0
    ip -n peer link set quicap0 up
}

boot() {
    # Told that it is in a container, procd leaves /dev and the machine's devices alone.
    container=real unshare --pid --fork --kill-child chroot "$root" /bin/sh -c \
        'mount -t proc none /proc; exec /sbin/procd -S' >"$work/procd.log" 2>&1 </dev/null &
    local unshared=$!
    trap 'code=$?; ((code == 0)) || router "logread | tail -n 40" >&2 || tail -n 40 "$work/procd.log" >&2' EXIT
    wait_for "procd runs" child_of "$unshared"
    procd=$(child_of "$unshared")
    wait_for "netifd answers" router ubus call network.device status
    wait_for "br-lan is up" seen '"up": true' ubus call network.interface.lan status
    say "process 1 is $(router 'cat /proc/1/comm')," \
        "netifd has br-lan up"
}

# The first or last command that is told of as the next.
next_command() { sed -n 's/^next: //p' | "$1" -n 1 | sed 's/NAME/router/g' | grep .; }

child_of() { cat "/proc/$1/task/$1/children" | grep -o '[0-9]\+'; }

# A command line on the router.
router() { nsenter -t "$procd" -m -p -n -r -w /bin/sh -c "cd /; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; $*"; }

say() { echo "   $*"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# wait_for WHAT COMMAND...: until it succeeds; says how long that took.
wait_for() {
    local what=$1 began=${EPOCHREALTIME/./} limit=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || fail "in vain: $what"
        sleep 0.05
    done
    waited=$(((${EPOCHREALTIME/./} - began) / 1000))
}

# must WHAT COMMAND...: it holds now.
must() {
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || fail "$what"
}

not() { ! "$@"; }

# seen WORDS COMMAND...: the words stand in what it prints on the router.
seen() {
    local words=$1
    shift
    router "$*" 2>&1 | grep -qF -- "$words"
}

instance() { router "ubus call service list '{\"name\":\"quicap\"}' | jsonfilter -q -e '@.quicap.instances.home.$1'"; }

pid() { instance pid; }

is_running() { [[ $(instance running) == true ]]; }

# carrier DEVICE true|false: as netifd shows it.
carrier() { [[ $(router "ubus call network.device status '{\"name\":\"$1\"}' | jsonfilter -e @.carrier") == "$2" ]]; }

bridged() { router 'ls /sys/class/net/br-lan/brif' | grep -q quicap0; }

tap() { ip link show quicap0; }

index() { cat "$root/sys/class/net/quicap0/ifindex"; }

crosses() { ip netns exec peer ping -q -c 3 -i 0.1 -W 1 10.77.0.1; }

log_has() { seen "$1" logread; }

# status PATH: a value of the daemon's own status.
status() { router "quicap status --json | jsonfilter -q -e '@.$1'"; }

apply() { router "$*; uci commit; /etc/init.d/quicap reload"; }

# --- what is seen ---

installation() {
    # As a package manager does it.
    local files=$here/openwrt/quicap/files
    install -D -m 755 "$program" "$root/usr/sbin/quicap"
    install -D -m 755 "$here/init.d/quicap" "$root/etc/init.d/quicap"
    install -D -m 600 "$here/uci/quicap" "$root/etc/config/quicap"
    install -D -m 644 "$files/quicap.hotplug-ntp" "$root/etc/hotplug.d/ntp/25-quicap"
    install -D -m 644 "$files/quicap.defaults" "$root/etc/uci-defaults/60-quicap"
    install -D -m 644 "$files/quicap.keep" "$root/lib/upgrade/keep.d/quicap"
    install -D -m 755 "$files/quicap.postinst" "$root/tmp/postinst"
    install -D -m 755 "$files/quicap.prerm" "$root/tmp/prerm"
    mkdir -p "$root/lib/apk/packages"
    echo "/etc/config/quicap $(sha256sum <"$here/uci/quicap" | cut -d ' ' -f 1)" >"$root/lib/apk/packages/quicap.conffiles_static"
    local before
    before=$(router 'md5sum /etc/config/network /etc/config/firewall 2>/dev/null')
    router '( cd /etc/uci-defaults && . ./60-quicap ) && rm /etc/uci-defaults/60-quicap; uci commit'
    router '/etc/init.d/quicap enable; /etc/init.d/quicap start'
    must "other configuration is untouched" test "$before" == "$(router 'md5sum /etc/config/network /etc/config/firewall 2>/dev/null')"
    must "the service is known, without an instance" not is_running
    must "no device was made" not tap
    say "status: $(router '/etc/init.d/quicap status' || true); links: $(router 'ls /etc/rc.d' | grep quicap | tr '\n' ' ')"
}

# The commands that are printed, each by the one before; a name is filled in.
enabling() {
    local line count
    line=$(router '( . /tmp/postinst )' 2>&1 | next_command head)
    for count in 2 3 4; do
        say "command $count: $line"
        line=$(router "$line" 2>&1 | tee "$work/said" | next_command tail) || true
    done
    (cd "$work/peer" && "$program" csr --name peer --key node.key >csr 2>/dev/null)
    cp "$work/peer/csr" "$root/tmp/csr"
    router 'quicap ca sign --dir /etc/quicap-ca/home /tmp/csr --bundle -' 2>/dev/null >"$work/peer/bundle"
    "$program" install home "$work/peer/bundle" --dir "$work/peer" 2>/dev/null
    wait_for "the daemon runs" is_running
    wait_for "netifd has put the TAP into br-lan" bridged
    must "no carrier yet" carrier quicap0 false
    say "the TAP is in br-lan, without carrier as long as there is no link"
    line=$(router quicap check 2>&1 | sed -n 's/^to dial.*dialed: //p' | sed 's/NAME/peer/g; s/ADDRESS/192.0.2.2/')
    say "to dial: $line"
    router "$line"
    say "check says: $(router quicap check 2>&1 | tail -n 2 | tr '\n' ';')"
    start_peer
    wait_for "carrier comes with the link" carrier quicap0 true
    say "carrier $waited ms after the peer's TAP"
    wait_for "pings cross" crosses
    say "instance: $(router "ubus -S call service list '{\"name\":\"quicap\"}'")"
    must "the limits hold" seen "33554432" grep '"Max data size *33554432 *33554432"' "/proc/$(pid)/limits"
    say "memory: $(router "grep -E 'VmPeak|VmRSS|VmData' /proc/$(pid)/status" | tr -s '\t\n ' ' ')"
    say "status: $(router '/etc/init.d/quicap status' | head -n 2 | tr '\n' ' ')"
}

reloading() {
    local before after
    before=$(pid)
    ip netns exec peer ping -q -c 100 -i 0.05 -W 2 10.77.0.1 >"$work/pings" &
    local pings=$!
    apply "uci set quicap.other=peer; uci set quicap.other.network=home; uci set quicap.other.name=other
        uci add_list quicap.other.endpoint=192.0.2.9"
    wait_for "the new peer is known" seen "peer other: added" quicap status --json
    apply "uci delete quicap.other"
    wait_for "the peer is gone" seen ": removed" quicap status --json
    wait "$pings" || fail "pings"
    after=$(pid)
    must "the process is the same" test "$before" == "$after"
    say "a peer added and removed; pid $before, then $after; $(grep received "$work/pings")"
    # By the trigger, as LuCI's "Save & Apply" does it.
    router "reload_config; uci set quicap.home.log_level=debug; uci commit; reload_config"
    wait_for "config.change comes through" seen "configuration read again" logread
    router "uci set quicap.home.log_level=info; uci commit; /etc/init.d/quicap reload"
    must "the process is the same" test "$before" == "$(pid)"
    say "reload_config reached it as SIGHUP; pid $(pid)"
}

faults() {
    local before
    before=$(pid)
    apply "uci set quicap.home.listen_port=99999"
    wait_for "the daemon says why" seen "99999" quicap status --json
    must "the running daemon stays" test "$before" == "$(pid)"
    say "config.error: $(status config.error)"
    must "it still carries" crosses
    apply "uci set quicap.home.listen_port=443"
    wait_for "mended" test -z "$(status config.error)"
    router "cp /etc/config/quicap /tmp/good; echo \"option 'broken\" >>/etc/config/quicap"
    say "reload: $(router '/etc/init.d/quicap reload' 2>&1)"
    say "start: $(router '/etc/init.d/quicap start' 2>&1)"
    must "the running daemon stays" test "$before" == "$(pid)"
    router "cp /tmp/good /etc/config/quicap; /etc/init.d/quicap reload"
    must "the running daemon stays" test "$before" == "$(pid)"
    must "it still carries" crosses
}

crashes() {
    local number round before
    sleep 2 # a reload that a trigger still has in hand would start a crashed instance at once
    number=$(index)
    for round in 1 2 3 4 5 6 7; do
        before=$(pid)
        router "kill -9 $before"
        if ((round == 1)); then
            wait_for "netifd sees no carrier" carrier quicap0 false
            must "the device stays in its bridge" bridged
            say "kill -9: no carrier after $waited ms, the TAP is still in br-lan"
        fi
        wait_for "another process" new_pid "$before"
        ((round > 1)) || say "another process after $waited ms"
    done
    wait_for "pings cross again" crosses
    must "the device is the same" test "$number" == "$(index)"
    must "procd has not given up" not log_has "in a crash loop"
    say "seven crashes in a row; the TAP is still number $number, the link is up again $waited ms after the last"
    before=$(pid)
    router '/etc/init.d/quicap restart'
    wait_for "another process" new_pid "$before"
    wait_for "pings cross again" crosses
    must "the device is the same" test "$number" == "$(index)"
    router '/etc/init.d/quicap stop'
    wait_for "it ends" not is_running
    must "the device stays" bridged
    must "the device is the same" test "$number" == "$(index)"
    router '/etc/init.d/quicap start'
    wait_for "pings cross again" crosses
    say "restart, and stop and start: the TAP is still number $number"
}

new_pid() {
    local now
    now=$(pid) && [[ $now != "$1" ]]
}

network_restart() {
    local before number
    before=$(pid) number=$(index)
    router '/etc/init.d/network restart' >/dev/null 2>&1
    wait_for "netifd has the TAP in br-lan again" bridged
    wait_for "pings cross again" crosses
    must "the process and the device are the same" test "$before $number" == "$(pid) $(index)"
    say "network restart: the TAP is in br-lan again, same process, same device"
}

peer_away() {
    kill "$peer"
    wait "$peer" || true
    wait_for "netifd sees no carrier" carrier quicap0 false
    say "the only peer ends: no carrier after $waited ms (option carrier_down_delay: 5 s)"
    must "br-lan keeps its own" carrier br-lan true
    start_peer
    wait_for "carrier" carrier quicap0 true
    say "it is back: carrier after $waited ms"
    wait_for "pings cross again" crosses
}

# Carrier as interfaces see it: docs/openwrt.md, "Carrier".
ways() {
    say "1. the TAP a port of br-lan: interface lan is up=$(interface lan up) with the peer"
    freeze_peer
    wait_for "no carrier" carrier quicap0 false
    must "lan does not notice" test "$(interface lan up)" == true
    say "   and up=$(interface lan up) without it (lan1 has carrier)"
    thaw_peer
    router "uci del_list network.@device[0].ports=quicap0
        uci set network.mesh_bridge=device; uci set network.mesh_bridge.name=br-mesh; uci set network.mesh_bridge.type=bridge
        uci add_list network.mesh_bridge.ports=quicap0
        uci set network.mesh=interface; uci set network.mesh.device=br-mesh; uci set network.mesh.proto=static
        uci set network.mesh.ipaddr=10.77.0.1/24; uci set network.mesh.force_link=0; uci delete network.lan.ipaddr
        uci -q add_list firewall.@zone[0].network=mesh; uci commit; /etc/init.d/network reload"
    follows_carrier "2. a bridge of its own with force_link '0'"
    router "uci delete network.mesh_bridge; uci set network.mesh.device=quicap0; uci commit; /etc/init.d/network reload"
    follows_carrier "3. an interface on the TAP itself with force_link '0'"
    router "uci delete network.mesh; uci set network.lan.ipaddr=10.77.0.1/24; uci add_list network.@device[0].ports=quicap0
        uci commit; /etc/init.d/network reload"
    wait_for "as it was before" bridged
    wait_for "pings cross again" crosses
}

follows_carrier() {
    wait_for "pings cross" crosses
    must "mesh is up" test "$(interface mesh up)" == true
    freeze_peer
    wait_for "mesh goes down" interface_is mesh false
    must "its address went too" not seen 10.77.0.1 ip addr
    thaw_peer
    wait_for "mesh comes up" interface_is mesh true
    wait_for "pings cross" crosses
    say "$1: up, down without the peer, up again $waited ms before the first ping"
}

interface() { router "ubus call network.interface.$1 status | jsonfilter -e @.$2"; }

interface_is() { [[ $(interface "$1" up) == "$2" ]]; }

freeze_peer() { ip -n peer link set wan down; }

thaw_peer() { ip -n peer link set wan up; }

triggers() {
    router 'ubus monitor >/tmp/monitor 2>&1 & echo $! >/tmp/monitor.pid'
    sleep 0.5
    router 'ubus call service event "{\"type\":\"interface.update\",\"data\":{\"interface\":\"wan\"}}"'
    wait_for "the daemon is told to look" grep -q '"method":"signal".*quicap.*"signal":10' "$root/tmp/monitor"
    say "an event of an interface reached the daemon as signal 10 (SIGUSR1) after $waited ms; pid $(pid)"
    router 'kill $(cat /tmp/monitor.pid)'
    must "nothing else happens" crosses
}

firewall() {
    if ! router 'command -v fw4' >/dev/null; then
        say "no fw4 here"
        return
    fi
    seen_rule "the port is open" 443
    apply "uci set quicap.home.open_firewall=0"
    wait_for "the port is closed" not rule 443
    say "open_firewall '0': no rule after $waited ms; pid $(pid)"
    apply "uci set quicap.home.open_firewall=1"
    seen_rule "the port is open again" 443
}

rule() { seen "udp dport $1 counter accept comment \"!fw4: ubus:quicap[home] rule 0\"" nft -s list chain inet fw4 input_wan; }

seen_rule() {
    wait_for "$1" rule "$2"
    say "fw4: $(router nft -s list chain inet fw4 input_wan | grep quicap | tr -s '\t ' ' ')"
}

clock() {
    local trusted=$root/tmp/run/quicap/clock-trusted
    rm -f "$trusted"
    router 'stratum=16 ntpd-hotplug periodic'
    sleep 1
    must "an answer of nobody is none" test ! -e "$trusted"
    router 'stratum=3 ntpd-hotplug stratum'
    wait_for "the answer is noted" test -e "$trusted"
    say "NTP's hotplug event made $(router 'ls -l /var/run/quicap/clock-trusted')"
}

# What a new firmware keeps.
upgrade() {
    local kept
    kept=$(router 'sysupgrade -l 2>/dev/null' | grep quicap || true)
    local file
    for file in /etc/config/quicap /etc/quicap/home/node.key /etc/quicap/home/node.crt /etc/quicap-ca/home/ca.key; do
        must "sysupgrade keeps $file" grep -qx "$file" <<<"$kept"
    done
    must "but not the program" not grep -q sbin <<<"$kept"
    say "sysupgrade -l: $(tr '\n' ' ' <<<"$kept")"
}

disabling() {
    apply "uci set quicap.home.enabled=0"
    must "the daemon ended" not is_running
    must "the device is gone" not tap
    [[ ! -e $root/etc/init.d/firewall ]] || wait_for "the port is closed" not rule 443
    say "option enabled '0' and reload: no daemon, no TAP, no open port"
    apply "uci set quicap.home.enabled=1"
    wait_for "pings cross" crosses
    router '/etc/init.d/quicap disable'
    must "it runs on with its TAP" bridged
    router '/etc/init.d/quicap stop'
    must "the device is gone" not tap
    say "disable, then stop: no TAP"
    router '/etc/init.d/quicap enable; /etc/init.d/quicap start'
    wait_for "pings cross" crosses
    router '/etc/init.d/quicap stop'
    must "the device stays" bridged
    router '/etc/init.d/quicap disable'
    must "the device is gone" not tap
    say "stop, then disable: no TAP"
    router '/etc/init.d/quicap enable; /etc/init.d/quicap start'
    wait_for "pings cross" crosses
}

removal() {
    # As the package managers do it: their own part comes behind ours.
    say "prerm: $(router '( . /tmp/prerm ); /etc/init.d/quicap disable; /etc/init.d/quicap stop' 2>&1 | tr '\n' ';')"
    rm "$root/etc/init.d/quicap" "$root/usr/sbin/quicap" "$root/etc/hotplug.d/ntp/25-quicap" "$root/lib/upgrade/keep.d/quicap" \
        "$root/lib/apk/packages/quicap.conffiles_static"
    sleep 1
    must "no TAP" not tap
    must "no service" not seen quicap ubus call service list
    must "no process" not seen quicap ps
    [[ ! -e $root/etc/init.d/firewall ]] || wait_for "no open port" not rule 443
    say "left in files: $(router "find / -xdev -name '*quicap*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/tmp/*'" | tr '\n' ' ')"
    must "the keys stay" test -e "$root/etc/quicap/home/node.key"
    must "nothing in /var/run" test ! -e "$root/tmp/run/quicap"
    must "no links" not seen quicap ls /etc/rc.d
}

main
