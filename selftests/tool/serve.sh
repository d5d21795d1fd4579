#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack serve: clients of the allocation server, in C and in Python, that know nothing
# of bufftrack.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack jq python3; do
	command -v $program >/dev/null || skip_all "no $program"
done
seed=${SEED:-1}
socket=$tmp/socket

# Begins to serve, in the background: $server; its lines in $tmp/out and $tmp/err
serve()	# OPTION...
{
	local i
	rm -f "$tmp/err"
	bufftrack serve --socket "$socket" "$@" >"$tmp/out" 2>"$tmp/err" &
	server=$!
	for ((i = 0; i < 600; i++)); do
		[[ ! -S $socket ]] || return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cat "$tmp/err"
	return 1
}

# Ends it: $status
served()
{
	kill -TERM "$server"
	status=0
	wait "$server" || status=$?
}

peers()
{
	python3 "$here/serve_peers.py" "$socket" "$@"
}

# The key of a device with number $1: what the module knows of it goes with the last client.
stat_of()	# DEVICE EXPRESSION
{
	bufftrack status --json |
		jq -r --arg device "$(printf 0x%x "$1")" ".devices[] | select(.device == \$device) | $2"
}

c_client()
{
	serve && "$here/serve_client" "$socket" 40 0x296ccc80 && served && same 0 "$status" &&
		same "double free of buffer 0x296ccc80 (L1) on device 40 by serve_client" \
			"$(sed -n '/double/s/\[.*//p' "$tmp/out")" &&
		matches 'certain$' "$(grep double "$tmp/out")"
}

summary_is()	# WANTED-FILE SEEN-FILE
{
	jq -cS 'del(.ok, .worst)' "$1" >"$tmp/a"
	jq -cS --slurpfile wanted "$1" '. as $all | $wanted[0] | del(.ok, .worst) |
		with_entries(.value = $all[.key])' "$2" >"$tmp/b"
	diff "$tmp/a" "$tmp/b"
}

# What the tests before have left behind would be known of their keys.
forget_all()
{
	unload && load
}

# Verdicts worked out by replay_log.py from the rules alone
right_to_the_unit()	# MESSAGES LOG-SCENARIO...
{
	local nr=$1 scenario=$2
	shift 2
	python3 "$here/replay_log.py" "$nr" "$seed" "$tmp/made" "$tmp/wanted" &&
		forget_all && serve --summary --json && peers "$scenario" "$tmp/made" "$@" && served &&
		same 0 "$status" && tail -n 1 "$tmp/out" >"$tmp/summary" &&
		summary_is "$tmp/wanted" "$tmp/summary"
}

# 40 processes, each over a connection of its own; the server's own log, replayed
equal_to_replay()
{
	python3 "$here/replay_log.py" 100000 $((seed + 1)) "$tmp/made" "$tmp/wanted" 4000 &&
		forget_all && serve --log --summary --json && peers spread "$tmp/made" 40 && served &&
		same 0 "$status" && grep -v '^{\|^listening' "$tmp/out" >"$tmp/log" &&
		tail -n 1 "$tmp/out" | jq -S 'del(.clients, .ignored, .failed)' >"$tmp/a" &&
		forget_all && bufftrack replay --json "$tmp/log" |
		jq -S 'del(.clients, .ignored, .failed)' >"$tmp/b" && diff "$tmp/a" "$tmp/b"
}

monitors()
{
	printf '# two of them\n0 arch=2 dram=12G l1=1440M dram_channels=12\n1 arch=3\n' \
		>"$tmp/devices"
	serve --devices "$tmp/devices" || return
	python3 - "$socket" "$here/serve_peers.py" <<-'END' || return
		import subprocess, sys
		socket, peers = sys.argv[1:]
		def say(*words, more=None):
		    return subprocess.run([sys.executable, peers, socket, *words], check=True,
		                          stdout=subprocess.PIPE, text=True, input=more).stdout.strip()
		holder = subprocess.Popen([sys.executable, peers, socket, "hold"], text=True,
		                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		assert holder.stdout.readline() == "held\n"
		assert say("query", "1") == "0 10 0 0", say("query", "1")
		holder.communicate("\n")
		assert say("info", "0") == "12884901888 1509949440 2 12 0 0 1 0", say("info", "0")
		assert say("info", "1") == "0 0 3 0 0 0 1 0"
		assert say("info", "9") == "0 0 0 0 0 0 0 0"
		assert say("info", "-1") == "0 0 0 0 0 0 1 2"
	END
	served && same 0 "$status"
}

# Without a file: the devices that the module knows
monitors_without_a_file()
{
	serve || return
	(peers hold; :) < <(sleep 5) >"$tmp/held" &
	local holder=$! i
	for ((i = 0; i < 100; i++)); do
		[[ ! -s $tmp/held ]] || break
		sleep 0.1
	done
	same "0 0 0 0 0 0 1 0" "$(peers info 1)" && peers dump && wait "$holder" && served &&
		grep -qx "  L1: 1 buffers, 10 bytes" "$tmp/out"
}

garbage()
{
	serve && same 60 "$(peers garbage)" && served && same 0 "$status" &&
		matches 'sends what is no message' "$(<"$tmp/err")" &&
		matches '300 messages were of no known type' "$(<"$tmp/err")" &&
		same 1 "$(grep -c 'sends what is no message' "$tmp/err")"
}

half_a_message()
{
	serve --summary --json && peers half && served && same 0 "$status" &&
		matches 'went away within a message: 56 bytes' "$(<"$tmp/err")" &&
		same 1 "$(tail -n 1 "$tmp/out" | jq .allocs)"
}

deaf()
{
	serve && same seen "$(peers deaf)" && served && same 0 "$status" &&
		matches 'questions were not answered' "$(<"$tmp/err")"
}

crowd()
{
	serve && same 2000 "$(ulimit -n 4096; peers crowd 1000)" && served && same 0 "$status"
}

# A peer that is killed leaks what it holds, and the module says so.
vanished()
{
	serve || return
	local before=0 i
	before=$(bufftrack status --json | jq .leak)
	peers vanish
	for ((i = 0; i < 100; i++)); do
		[[ $(bufftrack status --json | jq .leak) -le $before ]] || break
		sleep 0.1
	done
	same $((before + 1)) "$(bufftrack status --json | jq .leak)" && served
}

# Nobody reads the lines, and no client waits.
slow_reader()
{
	mkfifo "$tmp/fifo" && exec 6<>"$tmp/fifo" || return
	bufftrack serve --socket "$socket" >"$tmp/fifo" 2>"$tmp/err" 6>&- &
	server=$!
	local i status=0
	for ((i = 0; i < 600; i++)); do
		[[ ! -S $socket ]] || break
		sleep 0.1
	done
	same "done" "$(peers flood 40000)" || return
	cat <&6 >"$tmp/out" &
	i=$!
	served
	kill "$i"
	exec 6>&-
	rm "$tmp/fifo"
	same 0 "$status" && matches '[0-9]+ lines were left out' "$(<"$tmp/err")"
}

# What lay in the sockets when the signal came is done.
nothing_lost_at_the_end()
{
	serve --summary --json && kill -STOP "$server" && (peers burst 500) && kill -TERM "$server" &&
		kill -CONT "$server" && { status=0; wait "$server" || status=$?; } &&
		same 0 "$status" && same 500 "$(tail -n 1 "$tmp/out" | jq .allocs)" &&
		fails test -e "$socket"
}

refuses_a_path()
{
	local status=0
	: >"$socket"
	bufftrack serve --socket "$socket" 2>"$tmp/err" || status=$?
	same 1 "$status" && matches 'is no socket' "$(<"$tmp/err")" && test -f "$socket" || return
	rm "$socket"
	python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$socket"
	chown 1:1 "$socket"
	status=0
	bufftrack serve --socket "$socket" 2>"$tmp/err" || status=$?
	same 1 "$status" && matches 'belongs to user 1' "$(<"$tmp/err")" && test -S "$socket" || return
	chown 0:0 "$socket"
	# One that nobody listens to any more is taken; one that is served is not.
	bufftrack serve --socket "$socket" >"$tmp/out" 2>"$tmp/err" &
	server=$!
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -q listening "$tmp/out" || break
		sleep 0.1
	done
	status=0
	bufftrack serve --socket "$socket" 2>"$tmp/err2" || status=$?
	same 1 "$status" && matches 'another server listens' "$(<"$tmp/err2")" && served &&
		same 0 "$status"
}

# As systemd starts it: the socket is there, as descriptor 3.
activated()
{
	python3 -c '
import os, socket, sys
made = socket.socket(socket.AF_UNIX)
made.bind(sys.argv[1])
made.listen()
os.dup2(made.fileno(), 9)
os.dup2(9, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp("bufftrack", ["bufftrack", "serve", "--summary", "--json"])' "$socket" \
		>"$tmp/out" 2>"$tmp/err" &
	server=$!
	local i
	for ((i = 0; i < 600; i++)); do
		[[ ! -S $socket ]] || break
		sleep 0.1
	done
	peers alloc 77 41 L1 0x1000 10 && served && same 0 "$status" &&
		same 1 "$(tail -n 1 "$tmp/out" | jq .allocs)" && test -S "$socket" && rm "$socket"
}

# One address in two memory types: which one a free means is not known.
ambiguous()
{
	printf '✓ [PID 71] Allocated 1 bytes of %s on device 42 (buffer_id=4096)\n' L1 DRAM >"$tmp/made"
	local line='✗ [PID 71] Freed buffer 4096 on device 42 (1 bytes, FINAL)'
	printf '%s\n' "$line" "$line" "$line" >>"$tmp/made"
	serve && peers log "$tmp/made" && served && same 0 "$status" &&
		same 1 "$(grep -c 'double free' "$tmp/out")"
}

# A client of the module has its peer's name, and each pid in the messages is one.
named()
{
	forget_all && serve || return
	exec 8> >(peers hold >"$tmp/held")
	local i names=''
	for ((i = 0; i < 600; i++)); do
		[[ ! -s $tmp/held ]] || break
		sleep 0.1
	done
	for ((i = 0; i < 60; i++)); do
		bufftrack status --json >"$tmp/status"
		names=$(jq -r '.clients[]? | select(.live == 1) | .name' "$tmp/status")
		[[ ! $names ]] || break
		sleep 0.5
	done
	matches '^python3\[[0-9]+\]$' "$names"
	local wrong=$?
	[[ $wrong -eq 0 ]] || cat "$tmp/held" "$tmp/out" "$tmp/err" "$tmp/status"
	echo >&8
	exec 8>&-
	served
	return "$wrong"
}

misused()
{
	local status=0
	bufftrack serve --mode 888 2>"$tmp/err" || status=$?
	same 2 "$status" && matches 'octal' "$(<"$tmp/err")" || return
	echo "0 arch=x" >"$tmp/devices"
	status=0
	bufftrack serve --devices "$tmp/devices" --socket "$socket" 2>"$tmp/err" || status=$?
	same 1 "$status" && matches 'line 1: want' "$(<"$tmp/err")"
}

begin 18
check "a client in C frees twice" c_client
check "20,000 messages: right to the unit" right_to_the_unit 20000 log
check "the same in pieces of any length" right_to_the_unit 5000 log 7
check "100,000 messages of 40 connections: equal to replay" equal_to_replay
check "questions of monitors" monitors
check "questions of monitors, without a file of devices" monitors_without_a_file
check "garbage" garbage
check "half a message" half_a_message
check "a peer that reads no answers" deaf
check "a thousand connections" crowd
check "a peer that is killed" vanished
check "a slow reader of the lines" slow_reader
check "nothing is lost at the end" nothing_lost_at_the_end
check "the path of somebody else" refuses_a_path
check "a socket of systemd's" activated
check "one address in two memory types" ambiguous
check "a client has its peer's name" named
check "misused" misused
ktap_finished
