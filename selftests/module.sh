#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Loading and unloading
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

# Once: the module comes, is used, and goes with its node.
cycle()
{
	load || return
	btctl alloc 1 1 1 64 alloc 1 1 2 64 free 1 1 1 free 1 1 1 >"$tmp/out" || return
	same "ok ok ok double_free" "$(cut -d ' ' -f 1 "$tmp/out" | xargs)" || return
	unload || return
	[[ ! -e /dev/bufftrack ]] || { echo "the node stays"; return 1; }
}

cycles()	# COUNT
{
	local i
	for ((i = 0; i < $1; i++)); do
		cycle || { echo "in cycle $i"; return 1; }
	done
}

refcount()
{
	awk '$1 == "bufftrack" { print $3 }' /proc/modules
}

# unload.c does it more often.
wanted=5

begin 12
check "loaded before" test -c /dev/bufftrack
check "no one uses it" same 0 "$(refcount)"

# A client that stays until its input ends
mkfifo "$tmp/stay"
btctl alloc 1 1 1 64 wait <"$tmp/stay" >"$tmp/out" &
exec 7>"$tmp/stay"
while ! grep -q ready "$tmp/out"; do sleep 0.1; done
# The node has a reference, too, for as long as it is open.
check "an open client is a user" between 1 "$(refcount)" 2
check "rmmod is refused" fails rmmod bufftrack
check "and says why" matches "in use" "$(rmmod bufftrack 2>&1)"
check "the module works on" btctl alloc 1 1 2 64 free 1 1 2
exec 7>&-
wait
check "rmmod when it is closed" unload

check "not loaded: no node" test ! -e /dev/bufftrack
check "$wanted times" cycles "$wanted"
check "parameters at load" load_with history=7 max_buffers=9
check "they are as given" same "7 9" "$(cat $parameters/history $parameters/max_buffers | xargs)"
unload
check "a parameter that is no number" fails load_with history=many
load
ktap_finished
