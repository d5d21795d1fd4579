#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The tool's JSON has every key that was promised, and none that its pages do not name;
# what the options choose and sort; colour on a terminal only.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack jq trace-cmd script; do
	command -v $program >/dev/null || skip_all "no $program"
done
for man in "$here/../../../userspace/man" "$here/../../userspace/man" ""; do
	[[ ! -e $man/bufftrack-watch.1 ]] || break
done
[[ $man ]] || skip_all "the pages are not here"

counters='live bytes peak_bytes allocs frees history evicted certain'
verdicts='ok double_free stale_free foreign_free free_after_exit free_after_reset unknown_free
	missed_free size_mismatch dangling leak'
who='pid tid comm time exited stack'

# EXPRESSION gives objects, at least one, and each has all of the keys
have()	# FILE EXPRESSION KEY...
{
	local file=$1 expression=$2
	shift 2
	same '[true,[]]' "$(jq -cs --args "[.[] | $expression] |
		[length > 0, (map(\$ARGS.positional - keys_unsorted) | flatten | unique)]" "$@" <"$file")"
}

# Each key, however deep, is a word of one of the pages
on_pages()	# FILE PAGE...
{
	local file=$1 missing
	shift
	(cd "$man" && sed 's/\\f[BIR]//g; s/\\-/-/g' "$@") | tr -c 'a-z_\n' '\n' | sort -u >"$tmp/words"
	jq -r '.. | objects | keys[]' "$file" | sort -u >"$tmp/keys"
	[[ -s $tmp/keys ]] || { echo "no keys"; return 1; }
	if missing=$(grep -vxFf "$tmp/words" "$tmp/keys"); then
		echo "not on $*: $missing"
		return 1
	fi
}

# What EXPRESSION gives of all objects together
json()	# FILE EXPRESSION WANTED
{
	same "$3" "$(jq -cs "$2" "$1")" || { cat "$1"; return 1; }
}

list()	# WANTED OPTION...: the buffers, in their order
{
	local wanted=$1
	shift
	bufftrack list --json "$@" >"$tmp/list" && json "$tmp/list" 'map(.buffer)' "$wanted"
}

watch()	# NAME OPTION...
{
	watch_into "$tmp/$1" --timeout 100 "${@:2}" && watchers+=("$watcher")
}

# Waits for the one who is told to end
until_said()	# FILE EVENT
{
	local i
	for ((i = 0; i < 300; i++)); do
		! grep -q "\"event\": *\"$2\"" "$1" || return 0
		sleep 0.1
	done
	echo "not in 30 s: $2"
	return 1
}

begin 53
watchers=()
mkfifo "$tmp/stay" "$tmp/go"
# The process whose events alone one watch shows
(
	read -r <"$tmp/go"
	exec btctl alloc 0x90 1 0x4000 64 alloc 0x91 1 0x5000 64 alloc 0x91 1 0x6000 32 free 0x91 1 0x6000 \
		reset 0x91 >/dev/null
) 7>&- &
one=$!
check "watch: all" watch all --json --all
check "watch: of a device" watch of_device --json --all --device 0x91
check "watch: of a process" watch of_pid --json --all --pid $one
btctl name runtime alloc 0x90 1 0x1000 4096 tag=0xabc alloc 0x90 1 0x1000 4096 alloc 0x90 1 0x1000 1 view \
	alloc 0x90 2 0x2000 100 free 0x90 2 0x2000 alloc 0x90 1 0x3000 10 alloc 0x90 1 0x3000 10 exclusive \
	wait <"$tmp/stay" >"$tmp/said" 7>&- &
holder=$!
exec 7>"$tmp/stay"
until grep -q ready "$tmp/said"; do sleep 0.1; done
echo >"$tmp/go"
wait $one
btctl free 0x90 2 0x2000 free 0x90 1 0x4000 free 0x91 1 0x5000 free 0x90 9 9 free 0x90 1 0x1000 >/dev/null
check "watch: has seen it to its end" until_said "$tmp/all" foreign_free
until_said "$tmp/of_pid" client_close >/dev/null
until_said "$tmp/of_device" free_after_reset >/dev/null
kill -INT "${watchers[@]}"
wait "${watchers[@]}"

# shellcheck disable=SC2086
{
	check "an event of a buffer" have "$tmp/all" 'select(.buffer)' event device device_label space \
		space_label buffer size generation token refs nth certain offender freed allocated lost
	check "the offender" have "$tmp/all" .offender $who
	check "who freed" have "$tmp/all" '.freed | select(.)' $who reason
	check "who allocated" have "$tmp/all" '.allocated | select(.)' $who
	check "events of no buffer" have "$tmp/all" 'select(.buffer | not)' event offender lost
	bufftrack list --json --all >"$tmp/list"
	check "an allocation" have "$tmp/list" . device space buffer size generation refs views tag state age \
		client pid comm
	bufftrack status --json >"$tmp/status"
	check "status" have "$tmp/status" . loaded parameters $counters $verdicts devices clients
	check "status: a device" have "$tmp/status" '.devices[]' device $counters $verdicts spaces
	check "status: a space" have "$tmp/status" '.devices[].spaces[]' space $counters $verdicts
	check "status: a client" have "$tmp/status" '.clients[]' client $counters $verdicts
}
check "list: on its page" on_pages "$tmp/list" bufftrack-list.1 bufftrack-watch.1
bufftrack who --json 0x1010 >"$tmp/who"
check "who: on its page" on_pages "$tmp/who" bufftrack-who.1 bufftrack-list.1 bufftrack-watch.1
check "watch: on its page" on_pages "$tmp/all" bufftrack-watch.1
check "status: on its page" on_pages <(jq 'del(.parameters)' "$tmp/status") bufftrack-status.1 bufftrack.1
check "status: the parameters, on theirs" on_pages <(jq .parameters "$tmp/status") bufftrack.4
bufftrack top --json -n 1 >"$tmp/top"
check "top: on its page" on_pages "$tmp/top" bufftrack-top.1 bufftrack-status.1 bufftrack.1
BUFFTRACK_STACK=8 bufftrack run --json --output "$tmp/run" -- victim double leak >/dev/null 2>&1
check "a frame" have "$tmp/run" '.offender.stack[0]? | select(.)' address module build_id offset symbol file line
check "run: on its page" on_pages "$tmp/run" bufftrack-run.1 bufftrack-watch.1 bufftrack.1

# ---- what they say
check "each kind of event" json "$tmp/all" '["alloc", "client_close", "client_open", "double_free",
	"foreign_free", "free", "free_after_exit", "free_after_reset", "leak", "missed_free", "reset",
	"unknown_free"] - (map(.event) | unique)' '[]'
check "each reason" json "$tmp/all" 'map(select(.event | test("^(double|missed|free_after)")) |
	[.event, .freed.reason]) | unique' \
	'[["double_free","free"],["free_after_exit","exit"],["free_after_reset","reset"],["missed_free","missed"]]'
check "watch --device: nothing else" json "$tmp/of_device" 'map(.device) | unique' '["0x91"]'
check "watch --pid: nothing else" json "$tmp/of_pid" 'map(.offender.pid) | unique' "[$one]"
check "watch --pid: of two devices" json "$tmp/of_pid" 'map(.device // empty) | unique' '["0x90","0x91"]'
client=$(jq '.clients[] | select(.name == "runtime") | .client' "$tmp/status")
check "an allocation's tag, views and client" json "$tmp/list" 'map(select(.buffer == "0x1000")) |
	map([.tag, .views, .refs, .client, .pid, .state])' "[[\"0xabc\",1,2,$client,$holder,\"live\"]]"
check "the states" json "$tmp/list" 'map(select(.device == "0x90" or .device == "0x91") | [.buffer, .state]) |
	sort | map(.[1])' '["live","freed","live","exited","reset","freed"]'
check "status: the parameters" same \
	"$(for path in "$parameters"/*; do echo "${path##*/}=$(<"$path")"; done | sort)" \
	"$(jq -r '.parameters | to_entries[] | "\(.key)=\(.value)"' "$tmp/status" | sort)"

# ---- what is chosen, and in which order
check "list --pid" list '["0x1000","0x3000"]' --pid $holder
check "list --pid of another" list '[]' --pid $one
check "list --client" list '["0x1000","0x3000"]' --client "$client"
check "list --older-than" list '["0x1000","0x3000"]' --older-than 1ms --device 0x90
check "list --all --space" list '["0x2000"]' --all --device 0x90 --space 2
check "list --sort size" list '["0x1000","0x2000","0x4000","0x3000"]' --all --device 0x90 --sort size
check "list --sort buffer --reverse" list '["0x4000","0x3000","0x2000","0x1000"]' --all --device 0x90 \
	--sort buffer --reverse
check "list --limit" list '["0x1000"]' --device 0x90 --sort refs --limit 1
# It takes part in the registry: from here on the allocations are others.
bufftrack replay --json "$tmp/all" >"$tmp/replay"
# shellcheck disable=SC2086
check "replay" have "$tmp/replay" . allocs frees released live ${verdicts/leak/} balanced leaked \
	over_freed worst
check "replay: on its page" on_pages "$tmp/replay" bufftrack-replay.1 bufftrack.1
check "replay --quiet" same "" "$(bufftrack replay --quiet "$tmp/all" 2>&1)"
check "replay --quiet --json" same "" "$(bufftrack replay --quiet --json "$tmp/all" 2>&1)"
check "watch --quiet" same "" "$(bufftrack watch --quiet --timeout 1 2>&1)"
exec 7>&-
wait $holder

trace-cmd record -q -C mono -e bufftrack -o "$tmp/trace.dat" "$here/recorded" \
	btctl alloc 0x92 1 1 64 free 0x92 1 1 free 0x92 1 1 \
	alloc 0x93 1 1 64 free 0x93 1 1 free 0x93 1 1 >/dev/null 2>&1
bufftrack report --json "$tmp/trace.dat" >"$tmp/report"
check "report: bad events, and the balance" json "$tmp/report" 'map(.event)' '["double_free","double_free","summary"]'
check "report: on its page" on_pages "$tmp/report" bufftrack-report.1 bufftrack-replay.1 bufftrack-watch.1 bufftrack.1
bufftrack report --json --all --device 0x93 "$tmp/trace.dat" >"$tmp/report"
check "report --all --device" json "$tmp/report" 'map([.event, .device])' \
	'[["alloc","0x93"],["free","0x93"],["double_free","0x93"],["summary",null]]'
bufftrack report --json --pid 1 "$tmp/trace.dat" >"$tmp/report"
check "report --pid of another" json "$tmp/report" 'map([.event, .double_free])' '[["summary",2]]'

# ---- colour
coloured()
{
	script -qec "$1" /dev/null </dev/null | grep -q $'\e\['
}
unset NO_COLOR
export TERM=xterm
check "a terminal has colour" coloured "bufftrack report $tmp/trace.dat"
check "with NO_COLOR it has none" fails coloured "NO_COLOR=1 bufftrack report $tmp/trace.dat"
check "nor has a dumb one" fails coloured "TERM=dumb bufftrack report $tmp/trace.dat"
check "nor one of no kind" fails coloured "env -u TERM bufftrack report $tmp/trace.dat"
check "nor one of an empty kind" fails coloured "TERM= bufftrack report $tmp/trace.dat"
check "nor has a pipe" fails grep -q $'\e\\[' <(bufftrack report "$tmp/trace.dat")
ktap_finished
