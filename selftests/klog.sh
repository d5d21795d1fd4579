#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's log: so many lines a key and no more, and at the end how many.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

device=0x4c0001
limit=$(<$parameters/log_limit)

# As many bad frees of a key as wanted, by one client
bad()	# BUFFER COUNT
{
	local i args=()
	for ((i = 0; i < $2; i++)); do
		args+=(free "$device" 1 "$1")
	done
	btctl alloc "$device" 1 "$1" 64 free "$device" 1 "$1" "${args[@]}" >/dev/null
}

lines()	# PATTERN
{
	log | grep -c "$1"
}

begin 23
check "log_limit is 5" same 5 "$limit"

mark
bad 0x11 1
check "one bad free, one line" same 1 "$(lines .)"
check "it says what" matches "^bufftrack: double_free: .*device=0x4c0001 .*buffer=0x11 " "$(log)"
check "it says who" matches "pid=[1-9][0-9]* .*comm=btctl" "$(log)"

mark
bad 0x12 12
check "twelve of one key, five lines" same 5 "$(lines ' buffer=0x12 ')"
check "and a closing one" same 1 \
	"$(lines '^bufftrack: client [0-9]* (btctl, pid [0-9]*): 7 more bad frees were not logged$')"
check "nothing else" same 6 "$(lines .)"

mark
bad 0x12 1
check "the next client's closing line" same 1 "$(lines ': 1 more bad free')"
check "of a key that had its lines" same 1 "$(lines .)"

mark
bad 0x13 2
check "another key has lines of its own" same 2 "$(lines .)"

# Another user's frees have lines of their client's, and leave this user's.
chmod 666 /dev/bufftrack
btctl alloc $device 1 0x18 64 free $device 1 0x18 >/dev/null
mark
args=()
for ((i = 0; i < 9; i++)); do
	args+=(free "$device" 1 0x18)
done
setpriv --reuid 31001 --clear-groups btctl "${args[@]}" >/dev/null
check "nine by another user, five lines" same 5 "$(lines ' buffer=0x18 ')"
bad 0x18 1
check "and one by the user" same 6 "$(lines ' buffer=0x18 ')"
check "the key's tenth" same 1 "$(lines ' buffer=0x18 .* nth=10 ')"
mark
setpriv --reuid 31001 --clear-groups btctl alloc $device 1 0x19 64 free $device 1 0x19 \
	"${args[@]//0x18/0x19}" >/dev/null
check "nine by a key's user, five lines" same 5 "$(lines ' buffer=0x19 ')"
bad 0x19 9
check "and five by the next one, in an allocation of his own" same 10 "$(lines ' buffer=0x19 ')"
mark
btctl users 0x4c0003 100
check "a hundred users have a line each" same 100 "$(lines ' device=0x4c0003 ')"
sleep 7 # until their places may be given away
mark
# A hundred in five seconds, however long it takes; of one who leaves nothing behind
SECONDS=0
setpriv --reuid 31002 --clear-groups btctl visit 0x4c0002 3000
check "who comes and goes again and again is no flood" between 90 "$(lines ' device=0x4c0002 ')" \
	$((100 * (SECONDS / 5 + 1)))
check "nor does it take another user's lines" same 2 "$(mark; bad 0x1a 2; lines ' buffer=0x1a ')"
chmod 600 /dev/bufftrack

echo 1 >$parameters/log_limit
mark
bad 0x14 3
check "log_limit of 1" same 2 "$(lines .)"
echo 0 >$parameters/log_limit
mark
bad 0x15 3
check "log_limit of 0" same 0 "$(lines ' buffer=0x15 ')"
mark
# A hundred in five seconds, however long it takes
SECONDS=0
btctl churn $device 3000
check "closing lines are no flood" between 1 "$(lines .)" $((100 * (SECONDS / 5 + 2)))
echo "$limit" >$parameters/log_limit
sleep 6 # until the log takes lines again

mark
btctl alloc $device 1 0x16 64 free $device 1 0x16 alloc $device 1 0x16 64 >/dev/null
check "no line for what is no bad free" same 0 "$(lines .)"

# What a task calls itself must not look like a line of the kernel's.
name=$'x\nbufftrack: y'
cp "$here/btctl" "$tmp/$name"
mark
"$tmp/$name" alloc $device 1 0x17 64 free $device 1 0x17 free $device 1 0x17 >/dev/null
check "a name with a line's end is one line" same 1 "$(lines .)"
ktap_finished
