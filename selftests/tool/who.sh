#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack who: whose buffer lies at an address, in text and in JSON, of root and of a
# member of the device's group.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack jq setpriv; do
	command -v $program >/dev/null || skip_all "no $program"
done
group=31060
if ! chgrp $group /dev/bufftrack || ! chmod 660 /dev/bufftrack; then
	skip_all "cannot give the device a group"
fi
member=(setpriv --reuid 31061 --regid 31061 --groups "$group" --no-new-privs)
other=(setpriv --reuid 31062 --regid 31062 --groups "$group" --no-new-privs)
stranger=(setpriv --reuid 31063 --regid 31063 --clear-groups --no-new-privs)

# What EXPRESSION gives of all objects that who prints
who()	# WANTED EXPRESSION ARGUMENT...
{
	local wanted=$1 expression=$2
	shift 2
	bufftrack who --json "$@" >"$tmp/who" || { echo "who $* exits with $?"; return 1; }
	same "$wanted" "$(jq -cs "$expression" "$tmp/who")" || { cat "$tmp/who"; return 1; }
}

text()	# REGULAR-EXPRESSION ARGUMENT...
{
	local wanted=$1
	shift
	bufftrack who "$@" >"$tmp/text" || { echo "who $* exits with $?"; return 1; }
	matches "$wanted" "$(tr -s "\n " " " <"$tmp/text")"
}

exits()	# STATUS REGULAR-EXPRESSION COMMAND...
{
	local wanted=$1 expression=$2 said status=0
	shift 2
	said=$("$@" 2>&1) || status=$?
	same "$wanted" "$status" && matches "$expression" "$(tr -s "\n " " " <<<"$said")"
}

# Starts a btctl that holds what it allocates; waits until it has
hold()	# NAME COMMAND...
{
	local name=$1 i
	shift
	# Its input ends, and it with it, where this shell does.
	mkfifo "$tmp/$name"
	"$@" wait <"$tmp/$name" >"$tmp/$name.said" &
	exec {stay}>"$tmp/$name"
	stays+=("$stay")
	for ((i = 0; i < 600; i++)); do
		! grep -q ready "$tmp/$name.said" || return 0
		sleep 0.1
	done
	echo "$name is not ready"
	return 1
}

# Who allocated and freed what has ended, by file and line
stacks()
{
	victim double >"$tmp/places"
	text 'allocated by +pid [0-9]+ \(victim, exited\)' 0x296ccc90 --device 0x51 &&
		matches 'make_buffer +victim.c:[0-9]+' "$(<"$tmp/text")" &&
		matches 'freed by ' "$(<"$tmp/text")" &&
		matches 'close_buffer +victim.c:[0-9]+' "$(<"$tmp/text")" &&
		matches 'lies in no live buffer' "$(<"$tmp/text")" || return
	# shellcheck disable=SC2016
	who '[1,0,1,true]' '.[0] | [.lives, .refs, .refused, (.ended.stack | length > 1)]' 0x296ccc80 \
		--device 0x51
}

wide()
{
	local wide
	for wide in 0x2010 0x5000 0x296ccc80; do
		bufftrack who "$wide" 2>/dev/null
	done | awk 'length > 80' >"$tmp/wide"
	same "" "$(<"$tmp/wide")"
}

begin 27
check "a buffer's holder" hold first btctl name runtime \
	alloc 120 1 0x1000 0x100 alloc 120 1 0x1800 0x100 alloc 120 1 0x2000 0x100 tag=0xabc \
	alloc 120 1 0x2000 0x100 free 120 1 0x2000 free 120 1 0x2000 alloc 120 1 0x2000 0x100 tag=0xabc \
	alloc 120 1 0x2000 0x100 alloc 120 1 0x2000 1 view alloc 120 1 0x3000 0x100 \
	alloc 120 1 0x4000 0x100 alloc 120 2 0x1f00 0x10 alloc 120 1 0x5000 0x400 free 120 1 0x5000
check "another holder" hold second btctl name server alloc 120 1 0x2000 0x100
check "one of another device" hold third btctl alloc 121 1 0x2020 0x100
check "a PRIVATE client" hold fourth btctl private name quiet alloc 122 1 0x2000 0x40
check "a member's" hold fifth "${member[@]}" btctl name mine alloc 123 1 0x7000 0x100

check "a buffer that begins there" who '[["at","0x0","0x2000","live",3,1,"0xabc"]]' \
	'map(select(.relation == "at")) | map([.relation, .offset, .buffer, .state, .refs, .views, .tag])' \
	0x2000 --device 120
check "and one that it is within" who '[["inside","0x10","0x2000"]]' \
	'map(select(.relation == "inside")) | map([.relation, .offset, .buffer])' 0x2010 --device 120
check "its last byte" who '[["inside","0xff","0x2000"]]' \
	'map(select(.relation == "inside")) | map([.relation, .offset, .buffer])' 0x20ff --device 120
check "its neighbours, of its space" who '[["below","0x1800","0x711"],["above","0x3000","0xff0"]]' \
	'map(select(.relation == "below" or .relation == "above")) | map([.relation, .buffer, .distance])' \
	0x2010 --device 120
check "its holders, the oldest first" who '[["runtime",2,"btctl",0],["server",1,"btctl",0]]' \
	'.[0].holders | map([.name, .count, .comm, .uid])' 0x2010 --device 120
check "the allocation before" who '["freed",true,true,[2,1]]' \
	'.[0] | [.previous.state, .previous.generation < .generation,
		.previous.ended.time <= .allocated.time, [.lives, .frees]]' 0x2000 --device 120
check "on every device" who '["0x78","0x7a"]' \
	'map(select(.relation == "at" or .relation == "inside") | .device) | sort' 0x2000
check "in one space" exits 1 'no buffer at 0x2010 is on record there' bufftrack who 0x2010 --device 120 \
	--space 2
check "a PRIVATE client's" who '[[true,"quiet",1]]' \
	'map(select(.relation == "at")) | map([.private, .holders[0].name, .holders[0].count])' 0x2000 \
	--device 122
check "one that has ended" who '[["inside","0x5000","freed",[]]]' \
	'map(select(.relation == "inside")) | map([.relation, .buffer, .state, .holders])' 0x5100 --device 120
check "in text: within" text '0x2010 lies 0x10 bytes into buffer 0x2000\+0x100 \(space 1, 256 bytes\)' \
	0x2010 --device 120
check "in text: live" text 'live: generation [0-9]+, 3 references, 1 view, tag 0xabc' 0x2010 -d 120
check "in text: holders" text 'held by +client [0-9]+ \(server\), pid [0-9]+' 0x2010 -d 120
check "in text: the history" text 'this key: 2 allocs, 1 free, 0 refused; history A[0-9]+ F[0-9]+ A[0-9]+' \
	0x2010 -d 120
check "in text: neighbours" text 'live below: 0x1800\+0x100 .*live above: 0x3000\+0x100 ' 0x2010 -d 120
check "nothing there: the nearest" exits 1 \
	'nearest live below: 0x4000\+0x100 .*no buffer at 0x900000 is on record' \
	bufftrack who 0x900000 --device 120
check "where it was done" stacks
check "at most 80 columns" wide
check "a member's own, without root" exits 0 'held by +client [0-9]+ \(mine\)' \
	"${member[@]}" bufftrack who 0x7010
check "and nobody else's" exits 1 'no buffer at 0x7010 .*not root' "${other[@]}" bufftrack who 0x7010
check "who is no member is told so" exits 1 'join its group' "${stranger[@]}" bufftrack who 0x7010
check "misused" exits 2 'not an address: 0x' bufftrack who 0xyz
ktap_finished
