#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack top: its figures, as text and JSON, and its screen, on a terminal that
# tmux emulates.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v bufftrack >/dev/null || skip_all "the tool is not on PATH"
command -v tmux >/dev/null || skip_all "no tmux"

# The object that top prints in iteration N has for EXPRESSION what is WANTED
json()	# FILE N EXPRESSION WANTED
{
	same "$4" "$(jq -cs ".[$2] | $3" "$1")" || { cat "$1"; return 1; }
}

top_once()	# OPTION...
{
	bufftrack top --json -n 1 "$@" >"$tmp/once" || return
}

start_client()	# FILE-DESCRIPTOR COMMAND...
{
	local fd=$1 fifo=$tmp/fifo$1 out=$tmp/client$1
	shift
	mkfifo "$fifo"
	btctl "$@" wait <"$fifo" >"$out" 7>&- 8>&- &
	client=$!
	eval "exec $fd>$fifo"
	until grep -q ready "$out"; do sleep 0.1; done
}

# ---- the terminal

tm()
{
	tmux -L "bufftrack-$$" "$@"
}

open_terminal()
{
	env -u NO_COLOR TERM=screen-256color tmux -L "bufftrack-$$" -f /dev/null new-session -d \
		-x 80 -y 24 "PS1='\$ ' exec bash --norc --noprofile" 7>&- 8>&-
}

# What stands on the screen: with -e its colours, too
screen()	# [OPTION]
{
	tm capture-pane -p "$@"
}

shows()	# REGULAR-EXPRESSION [OPTION]
{
	local i
	for ((i = 0; i < 600; i++)); do
		if screen "${@:2}" | grep -Eq -- "$1"; then return; fi
		sleep 0.1
	done
	echo "no '$1' on the screen:"
	screen
	return 1
}

shows_now()	# REGULAR-EXPRESSION
{
	screen | grep -Eq -- "$1"
}

type_keys()	# KEY... -- REGULAR-EXPRESSION that then is there
{
	local keys=()
	while [[ $1 != -- ]]; do keys+=("$1"); shift; done
	tm send-keys "${keys[@]}" && shows "$2"
}

# Types a command, with the terminal's modes noted before and after it
type_command()	# COMMAND
{
	tm send-keys "clear; stty -g >$tmp/before; $1; echo ended with \$?; stty -g >$tmp/after" Enter
}

restored()
{
	shows '^ended with 0' &&
		same "0 1" "$(tm display -p '#{alternate_on} #{cursor_flag}')" &&
		cmp "$tmp/before" "$tmp/after" && rm "$tmp/before" "$tmp/after"
}

# The terminal goes, and what was on it, with it.
hangs_up()	# COMMAND
{
	local pid i
	type_command "$1"
	shows PROCESS || return
	pid=$(pgrep -P "$(tm display -p '#{pane_pid}')" -x bufftrack) || return
	tm kill-server
	for ((i = 0; i < 150; i++)); do
		[[ -e /proc/$pid/exe ]] || return 0
		sleep 0.1
	done
	ps -o pid,stat,time,args -p "$pid"
	kill -KILL "$pid"
	return 1
}

begin 46
device='.devices[] | select(.device == "0x5")'
start_client 7 name first alloc 5 1 0x1000 4096 alloc 5 2 0x2000 100 free 5 2 0x2000 free 5 2 0x2000 \
	free 6 1 9
first=$client
start_client 8 alloc 7 1 0x1000 1000000 alloc 7 1 0x1000 1000000 alloc 7 1 0x2000 500
second=$client

check "--json" top_once
check "one object" same 1 "$(wc -l <"$tmp/once")"
check "all" json "$tmp/once" 0 '[.loaded, .live, .bytes, .peak_bytes, .allocs, .frees, .bad_frees,
	.double_free, .unknown_free]' '[true,3,1004596,1004596,5,1,2,1,1]'
check "by process" json "$tmp/once" 0 '[.processes[] | [.pid, .comm, .name, .open_clients, .live, .bytes,
	.peak_bytes, .allocs, .frees, .bad_frees]]' \
	"[[$second,\"btctl\",null,1,2,1000500,1000500,3,0,0],[$first,\"btctl\",\"first\",1,1,4096,4196,2,1,2]]"
check "by device" json "$tmp/once" 0 "$device | [.live, .bytes, .peak_bytes, .allocs, .frees, .bad_frees]" \
	'[1,4096,4196,2,1,1]'
check "by space" json "$tmp/once" 0 "$device | [.spaces[] | [.space, .live, .bytes, .bad_frees]]" \
	'[[1,1,4096,0],[2,0,0,1]]'
check "no rates in the first" json "$tmp/once" 0 '[.interval, .allocs_per_second,
	.processes[0].frees_per_second, .devices[0].spaces[0].allocs_per_second]' '[null,null,null,null]'
check "--pid" eval "top_once --pid $first && json $tmp/once 0 '[.processes[].pid]' '[$first]'"
check "--device" eval "top_once --device 7 && json $tmp/once 0 '[.devices[].device]' '[\"0x7\"]'"
check "--sort bad" eval "top_once --sort bad && json $tmp/once 0 '[.processes[].pid]' '[$first,$second]'"
check "--sort name" eval "top_once -s name && json $tmp/once 0 '[.processes[].pid]' '[$second,$first]'"
check "--sort id --reverse" eval "top_once -s id -r &&
	json $tmp/once 0 '[[.processes[].pid], [.devices[].device]]' '[[$second,$first],[\"0x7\",\"0x5\"]]'"

text=$(bufftrack top --batch --iterations 1)
check "--batch: a process" matches \
	" $first btctl \(first\) +1 +4096 +4196 +- +- +2"$'\n' "$text"
check "--batch: a space" matches $'\n'"  2 +0 +0 +100 +- +- +1$" "$text"
check "--batch: all, and the verdicts" matches \
	"3 live, 981.1K bytes, peak 981.1K; .*2 bad frees: double_free=1 unknown_free=1"$'\n' "$text"
check "--batch: 80 columns" same "" "$(awk 'length > 80' <<<"$text")"
check "not a terminal: says what to do" matches -- "--batch" "$(bufftrack top 2>&1)"

btctl bury 9 2000000 >/dev/null &
load=$!
bufftrack top --json -n 4 --interval 300ms >"$tmp/rates"
kill $load
check "rates under load" json "$tmp/rates" 3 '[.allocs_per_second, .frees_per_second,
	(.processes[] | select(.pid == '$load') | .allocs_per_second),
	(.devices[] | select(.device == "0x9") | .frees_per_second, .spaces[0].allocs_per_second)] |
	map(. > 0)' '[true,true,true,true,true]'
check "rates of the others" json "$tmp/rates" 3 '[.processes[] | select(.pid != '$load') |
	.allocs_per_second]' '[0,0]'
check "rates are exact" same true "$(jq -cs '[range(1; 4) as $i |
	(.[$i].allocs_per_second * .[$i].interval | round) == .[$i].allocs - .[$i - 1].allocs] | all' "$tmp/rates")"
check "rates: the intervals" json "$tmp/rates" 3 '.interval >= 0.3 and .interval < 10' true

unseen()
{
	chmod 666 /dev/bufftrack
	setpriv --reuid 65534 --regid 65534 --clear-groups bufftrack top --json -n 1 >"$tmp/once"
	chmod 660 /dev/bufftrack
	json "$tmp/once" 0 '[.live, .allocs, .bad_frees, .processes, .devices]' '[0,0,0,[],[]]'
}
check "another user sees nothing of it" unseen
check "who may not open it is told" matches "no permission .*sudo" \
	"$(setpriv --reuid 65534 --regid 65534 --clear-groups bufftrack top --json -n 1 2>&1)"

# ---- its screen
open_terminal
trap 'tm kill-server 2>/dev/null; leave' EXIT
type_command "bufftrack top --interval 300ms"
check "the screen: a process" shows "^ +$first btctl \(first\) +1 +4096 +4196 +[0-9.]+ +[0-9.]+ +2\$"
check "the screen: by bytes" same "$second $first" "$(
	screen | awk '$2 == "btctl" { print $1 }' | paste -sd ' ')"
check "the screen: a device and its spaces" matches $'\n7 .*\n  1 .*\n5 .*\n  1 .*\n  2 ' "$(screen)"
check "the screen: bad frees are red" matches $'\e''\[([0-9;]*;)?31m +2' "$(screen -e)"
check "keys: D sorts by bad frees" type_keys D -- 'by bad;'
check "keys: and the other one is the first" same "$first $second" "$(
	screen | awk '$2 == "btctl" { print $1 }' | paste -sd ' ')"
check "keys: s, r" type_keys s r -- 'by name reversed;'
check "keys: / filters by name" eval "type_keys / first Enter -- 'with \"first\"' &&
	fails shows_now '^ +$second btctl'"
check "keys: x shows all" type_keys x -- "^ +$second btctl"
check "keys: p filters by pid" eval "type_keys p $second Enter -- 'pid $second;' &&
	fails shows_now '^ +$first btctl'"
check "keys: Tab, the devices only" eval "type_keys x Tab Tab -- '^DEVICE, SPACE' &&
	fails shows_now PROCESS"
check "keys: ?" type_keys '?' -- 'other key goes back'
tm resize-window -x 20 -y 5
check "20x5: the help" shows '^any other key'
check "20x5: a table" type_keys y Tab -- "^ +$second bt"
tm resize-window -x 80 -y 24
check "80x24 again" shows "^ +$second btctl +2 +"
check "q ends it, and the terminal is as before" eval "type_keys q -- '^ended' && restored"

type_command "TERM=vt100 bufftrack top"
check "a terminal without colour gets none" eval "shows '^ +$second btctl' &&
	fails matches $'\e''\[([0-9;]*;)?3[0-7]m' \"\$(screen -e)\""
exec 7>&- 8>&-
wait "$first" "$second"
unload
check "the module is unloaded: it waits" shows '^waiting: the module is not loaded'
load
check "the module is loaded again: it goes on" shows "0 processes, 0 devices"
tm send-keys C-c
check "Ctrl-C ends it" restored
terminated()
{
	type_command "bufftrack top"
	shows PROCESS && pkill -TERM -P "$(tm display -p '#{pane_pid}')" -x bufftrack && restored
}
check "SIGTERM ends it" terminated
check "the terminal goes away: it ends" hangs_up "bufftrack top"
open_terminal
check "so it does where SIGHUP is ignored" hangs_up "(trap '' HUP; exec bufftrack top)"
ktap_finished
