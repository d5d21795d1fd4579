#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a client makes the kernel keep is its memory cgroup's, and ends with a
# clean ENOMEM there.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

cgroups=/sys/fs/cgroup/bufftrack-test
cgroup=$cgroups/full
max=$((32 << 20))
device=0x3e3c60001

grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null ||
	skip_all "no memory controller of cgroup v2"
echo +memory >/sys/fs/cgroup/cgroup.subtree_control || skip_all "cannot use the controller"
mkdir $cgroups $cgroups/full $cgroups/spaces || exit 1
trap 'leave; rmdir $cgroups/full $cgroups/spaces $cgroups' EXIT
echo +memory >$cgroups/cgroup.subtree_control || exit 1
echo $max >$cgroup/memory.max
[[ ! -e $cgroup/memory.swap.max ]] || echo 0 >$cgroup/memory.swap.max

inside()	# COMMAND...
{
	# shellcheck disable=SC2016
	bash -c 'echo $$ >"$0"/cgroup.procs && exec "$@"' $cgroup "$@"
}

events()	# NAME
{
	awk -v name="$1" '$1 == name { print $2 }' $cgroup/memory.events
}

# The nodes of the kernel's arrays: of numbers far apart there is one or more for each.
nodes()
{
	awk '$1 == "radix_tree_node" { print $2 * $4 }' /proc/slabinfo
}

spaces()
{
	local i j
	for ((i = 0; i < 10; i++)); do
		for ((j = 0; j < 256; j++)); do
			echo alloc $((device + 1 + i)) $((j << 24 | i)) 1 64
		done
	done
}

begin 10
was=$(nodes)
cgroup=$cgroups/spaces
# shellcheck disable=SC2046 # words
inside btctl $(spaces) >"$tmp/out"
cgroup=$cgroups/full
took=$(($(nodes) - was))
charged=$(awk '$1 == "slab" { print $2 }' $cgroups/spaces/memory.stat)
check "of many spaces all is charged" between "$took" "$charged" $((took * 2))
inside btctl fill $device 4096 >"$tmp/out" 2>&1
status=$?
read -r count where error <"$tmp/out"
check "not killed" same 0 $status
check "ends with ENOMEM" same 12 "${error:-none}"
check "of an entry, not of the call" same entry "${where:-none}"
# At 192 bytes each it would be 170,000.
check "after very many buffers" between 65536 "${count:-0}" 400000
check "no one was killed" same 0 "$(events oom_kill)"
if [[ -e $cgroup/memory.peak ]]; then
	check "never above the limit" between 1 "$(<$cgroup/memory.peak)" $max
else
	ktap_test_skip "never above the limit: no memory.peak"
fi
check "those outside go on" btctl alloc $device 2 1 64 free $device 2 1

# All those allocations ended at its exit; the history is what is kept of them.
read -r history evicted < <(btctl history $device)
# The entries behind the refused one in its batch, of 1,024, may have found room.
check "it all ended" between "$count" $((history + evicted)) $((count + 1 + 1024))
current=$(<$cgroup/memory.current)
check "most of it was given back" between 0 "$current" $((max * 3 / 4))
ktap_finished
