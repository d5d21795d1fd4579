#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 100,000 bad frees in a burst: each is told, counted, or said to be lost.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v bufftrack >/dev/null || skip_all "the tool is not on PATH"

# On a kernel that takes ten times as long, selftests/host/check asks for fewer.
all=${BUFFTRACK_BURST:-100000}
each=$((all / 2))
# Where there is room for all, none may be lost; but where KCSAN delays the kernel amid what
# it does, its ring passes over some (see pass_over() in userspace/source/loss.c).
few=0
[[ ! -e /sys/kernel/debug/kcsan ]] || few=$((all / 20))

# Two processes at a time, on as many CPUs as there are
burst()
{
	local status=0
	btctl burst 1 $each &
	btctl burst 2 $each || status=1
	wait $! || status=1
	return $status
}

# A watch from before it until after it; STOPPED is halted meanwhile
watched()	# [STOPPED] OPTION...
{
	local watcher stop='' i status=0
	[[ $1 != stopped ]] || { stop=1; shift; }
	: >"$tmp/err"
	bufftrack watch "$@" >"$tmp/out" 2>"$tmp/err" &
	watcher=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q watching "$tmp/err" || break
		sleep 0.1
	done
	[[ -z $stop ]] || kill -STOP $watcher
	burst || status=1
	[[ -z $stop ]] || kill -CONT $watcher
	kill -INT $watcher
	wait $watcher || status=1
	[[ $status -eq 0 ]] || cat "$tmp/err"
	return $status
}

# Of a text: "WHOLE COUNTED LOST"
tally()	# FILE
{
	awk '/^BUFFTRACK: double free of/ { whole++ }
		/^BUFFTRACK: [0-9]+ more of double free in burst .* from the same two stacks, / {
			counted += $2
		}
		/^BUFFTRACK: [0-9]+ events? lost, / { lost += $2 }
		/^ +[0-9]+ events? lost, / { lost += $1 }
		END { printf "%d %d %d\n", whole, counted, lost }' "$1"
}

# That they are all, so many told whole, and within these limits $lost
sums()	# FILE WHOLE LEAST-LOST MOST-LOST
{
	local whole counted
	read -r whole counted lost <<<"$(tally "$1")"
	echo "$whole whole, $counted counted, $lost lost"
	tail -n 3 "$1"
	same $all $((whole + counted + lost)) && same "$2" "$whole" && between "$3" "$lost" "$4"
}

# Of JSON: a line for each but those that are said to be lost
lines()	# LEAST-LOST MOST-LOST
{
	local told lost
	told=$(grep -c '^{"event":"double_free",' "$tmp/out")
	lost=$(tail -n 1 "$tmp/out" | jq .lost)
	echo "$told told, $lost lost"
	tail -n 1 "$tmp/out"
	same $all $((told + lost)) && between "$1" "$lost" "$2"
}

# The latest number that is told of all is as many as there were, and not $lost
last_count()	# FILE
{
	same $((all - lost)) "$(sed -n 's/^BUFFTRACK: .*, \([0-9]*\) in all$/\1/p' "$1" | tail -n 1)"
}

# Bad frees on each of two CPUs, more than can be told whole before this is over
cat >"$tmp/flood" <<-'END'
	btctl burst 5 1000000000 &
	echo $! >"$tmp/flooding"
	btctl burst 6 1000000000 &
	echo $! >>"$tmp/flooding"
END
export tmp

# Begins what tells them
in_flood()	# COMMAND...
{
	: >"$tmp/out"
	"$@" >>"$tmp/out" 2>"$tmp/err" &
	teller=$!
	until [[ $(wc -l <"$tmp/out") -gt 1000 ]]; do
		kill -0 "$teller" || { cat "$tmp/err"; return 1; }
		sleep 0.1
	done
}

# What tells them is gone within a minute
ends()	# STATUS
{
	local i status=0
	for ((i = 0; i < 600; i++)); do
		kill -0 "$teller" 2>/dev/null || break
		sleep 0.1
	done
	[[ $i -lt 600 ]] || { kill -KILL "$teller"; echo "it went on"; }
	wait "$teller" || status=$?
	same "$1" $status
}

begin 22
check "watch: $all bad frees" watched --buffer-size 49152
check "five are told whole, the others counted" sums "$tmp/out" 5 0 $few
check "and how many in all" last_count "$tmp/out"
check "watch, little room" watched --buffer-size 8
check "as many as are not told are lost" sums "$tmp/out" 5 1 $((all - 5))
check "watch, not reading" watched stopped
check "the latest are told, the others lost" sums "$tmp/out" 5 1 $((all - 5))
check "watch --json" watched --json
check "a line for each that is not lost" lines 0 $((all - 1))
check "watch --json, little room" watched --json --buffer-size 8
check "a line for each that is not lost, there too" lines 1 $((all - 1))
all=$((all / 5))
bufftrack run --output "$tmp/out" --buffer-size 16384 -- btctl burst 3 $all
check "run exits with 3" same 3 $?
check "run counts as watch does" sums "$tmp/out" 5 0 $((few / 5))
check "and its summary says so" matches "double_free: $((all - lost))"$'\n' "$(<"$tmp/out")"$'\n'
bufftrack run --no-group --output "$tmp/out" -- btctl burst 3 20
check "--no-group: each is told whole" same "20 0 0" "$(tally "$tmp/out")"
frees=(free 4 1 0x2000)
bufftrack run --output "$tmp/out" -- btctl alloc 4 1 0x2000 64 "${frees[@]}" "${frees[@]}" \
	"${frees[@]}" "${frees[@]}" "${frees[@]}" "${frees[@]}" "${frees[@]}" >"$tmp/said"
check "without stacks: of the same buffer" same \
	"BUFFTRACK: 1 more of double free of buffer 0x2000 (space 1) on device 4, 6 in all" \
	"$(grep more "$tmp/out")"

sh "$tmp/flood"
check "watch is in a flood" in_flood bufftrack watch --no-group
kill -TERM "$teller"
check "SIGTERM ends it" ends 0
xargs kill <"$tmp/flooding"
run=(bufftrack run --no-group --buffer-size 1024 --output "$tmp/out" -- sh -c)
# shellcheck disable=SC2016
check "run is in its command's flood" in_flood "${run[@]}" '. "$tmp/flood"; exec sleep 1000'
kill -TERM "$teller"
check "SIGTERM ends the command" ends 3
xargs kill <"$tmp/flooding"
# shellcheck disable=SC2016
check "run is in a flood again" in_flood "${run[@]}" \
	'. "$tmp/flood"; until [ -e "$tmp/end" ]; do sleep 0.1; done'
: >"$tmp/end"
check "and ends with its command" ends 3
xargs kill <"$tmp/flooding"
ktap_finished
