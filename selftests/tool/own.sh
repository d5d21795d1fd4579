#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack watch and run of a member of the device's group who is not root.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack jq setpriv; do
	command -v $program >/dev/null || skip_all "no $program"
done
group=31050
if ! chgrp $group /dev/bufftrack || ! chmod 660 /dev/bufftrack; then
	skip_all "cannot give the device a group"
fi
chmod 777 "$tmp"
member=(setpriv --reuid 31001 --regid 31001 --groups "$group" --no-new-privs)
other=(setpriv --reuid 31002 --regid 31002 --groups "$group" --no-new-privs)
stranger=(setpriv --reuid 31003 --regid 31003 --clear-groups --no-new-privs)
export BUFFTRACK_STACK=8

watches()
{
	local watcher i
	"${member[@]}" bufftrack watch --json --count 2 >"$tmp/out" 2>"$tmp/err" &
	watcher=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q ': watching\|^watching' "$tmp/err" || break
		sleep 0.1
	done
	# Another user's, and root's: not told.
	"${other[@]}" btctl alloc 71 1 0x1000 10 free 71 1 0x1000 free 71 1 0x1000 >/dev/null
	btctl alloc 72 1 0x1000 10 free 72 1 0x1000 free 72 1 0x1000 >/dev/null
	"${member[@]}" btctl alloc 73 1 0x1000 10 free 73 1 0x1000 free 73 1 0x1000 >/dev/null
	"${member[@]}" btctl alloc 74 1 0x2000 20 >/dev/null
	wait "$watcher" || { cat "$tmp/err"; return 1; }
	same '["double_free","0x49",true,31001,"btctl"]
["leak","0x4a",true,31001,"btctl"]' "$(jq -c '[.event, .device, .certain,
		(.offender | .uid, .comm)]' "$tmp/out")" &&
		matches 'not root' "$(<"$tmp/err")" &&
		same true "$(jq -s '.[0] | .freed.time > .allocated.time and .offender.start > 0
			and .allocated.client == .offender.client' "$tmp/out")"
}

# In text, with a stack and its lines
reports()
{
	local status=0
	"${member[@]}" bufftrack run --output "$tmp/report" -- buffer >"$tmp/said" 2>"$tmp/err" ||
		status=$?
	same 3 "$status" || { cat "$tmp/report" "$tmp/err"; return 1; }
	matches 'BUFFTRACK: stale free of buffer' "$(<"$tmp/report")" &&
		matches 'mark_as_deallocated +buffer.cpp:[0-9]+' "$(<"$tmp/report")" &&
		matches 'not root' "$(<"$tmp/err")"
}

gate()
{
	local status=0
	"${member[@]}" bufftrack run --require-client --json --output "$tmp/json" -- \
		btctl alloc 75 1 0x1000 10 free 75 1 0x1000 >/dev/null 2>"$tmp/err" || status=$?
	same 0 "$status" || { cat "$tmp/json" "$tmp/err"; return 1; }
	same '[1,1]' "$(jq -c '[.allocs, .frees]' "$tmp/json")" || { cat "$tmp/json"; return 1; }
	status=0
	"${member[@]}" bufftrack run --require-client -- true 2>"$tmp/err" || status=$?
	fails same 0 "$status"
}

all_is_roots()
{
	local status=0
	"${member[@]}" bufftrack watch --all 2>"$tmp/err" || status=$?
	same 1 "$status" && matches 'need root' "$(<"$tmp/err")"
}

no_member()
{
	local status=0
	"${stranger[@]}" bufftrack watch 2>"$tmp/err" || status=$?
	same 1 "$status" && matches 'join its group' "$(<"$tmp/err")"
}

begin 5
check "watch tells one's own, and nobody else's" watches
check "run reports with stacks" reports
check "run's exit status, without root" gate
check "allocs and frees are root's" all_is_roots
check "who is no member is told so" no_member
ktap_finished
