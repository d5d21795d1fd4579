#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The tool, from outside: what it prints as JSON and what it exits with.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v bufftrack >/dev/null || skip_all "the tool is not on PATH"

# Every line of a file is an object, and the last one's EXPRESSION is WANTED
json()	# FILE EXPRESSION WANTED
{
	[[ -s $1 ]] || { echo "no output"; return 1; }
	jq -es 'all(type == "object")' "$1" >/dev/null || { cat "$1"; return 1; }
	same "$3" "$(jq -cs "last | $2" "$1")" || { cat "$1"; return 1; }
}

# Starts a watch with the options given; waits until it is ready
watch()	# OPTION...
{
	watch_into "$tmp/watch" --timeout 60 "$@"
}

watched()
{
	wait "$watcher" || { cat "$tmp/watch.err"; return 1; }
}

instances()
{
	find $tracing/instances -mindepth 1 -maxdepth 1 | wc -l
}

cat >"$tmp/bug.log" <<-'END'
	✓ Allocated buffer 694996096 on device 4  → allocation_status_ = ALLOCATED
	✗ Freed buffer 694996096 on device 4      → allocation_status_ = DEALLOCATED
	✓ Allocated buffer 694996096 on device 4  → allocation_status_ = ALLOCATED
	✗ Freed buffer 694996096 on device 4      → allocation_status_ = DEALLOCATED
	✗ Unknown buffer 694996096 on device 4    ← Extra free from old reference!
END

begin 48
unload
check "unload: not loaded is an error" fails bufftrack unload
bufftrack unload --json >"$tmp/out" 2>/dev/null
check "unload --json: not loaded" json "$tmp/out" . '{"loaded":false,"changed":false,"users":[],"listeners":[]}'
bufftrack status --json >"$tmp/out" 2>&1
check "status: not loaded" json "$tmp/out" .loaded false
bufftrack list >"$tmp/out" 2>&1
status=$?
check "list: not loaded is an error" same 1 $status
check "list: that says what to do" matches "bufftrack load" "$(<"$tmp/out")"
bufftrack load --json no_such=1 >"$tmp/out" 2>"$tmp/err"
check "load --json: an unknown parameter" json "$tmp/out" . '{"loaded":false,"changed":false,"file":null}'
check "load: that says which there are" matches "no_such.*history" "$(<"$tmp/err")"
bufftrack load --json history=1000 >"$tmp/out"
check "load --json" json "$tmp/out" '[.loaded, .changed, (.file | split("/") | last)]' \
	'[true,true,"bufftrack.ko"]'
check "load: again is no error" bufftrack load
bufftrack load --json >"$tmp/out" 2>/dev/null
check "load --json: again" json "$tmp/out" . '{"loaded":true,"changed":false,"file":null}'
check "load: with its parameter" same 1000 "$(<$parameters/history)"

check "watch is ready" watch --count 1
bufftrack replay --json "$tmp/bug.log" >"$tmp/replay"
check "watch: ends by its count" watched
check "replay: the report's five lines" json "$tmp/replay" \
	'[.allocs, .frees, .released, .live, .double_free, .over_freed, .balanced]' '[2,3,2,0,1,1,0]'
check "replay: the worst key" json "$tmp/replay" '[.worst[0] | .buffer, .allocs, .frees]' \
	'["0x296ccc80",2,3]'
check "watch: one double free" json "$tmp/watch" '[.event, .buffer, .device, .nth, .lost]' \
	'["double_free","0x296ccc80","0x4",1,0]'
check "watch: of a life freed before" json "$tmp/watch" \
	'[.freed.reason, .freed.pid == .offender.pid, .freed.time <= .offender.time]' \
	'["free",true,true]'
check "watch: allocated before that" json "$tmp/watch" '.allocated.time <= .freed.time' true
check "watch: probable, of two lives" json "$tmp/watch" '[.certain, .refs]' '[false,0]'
check "watch: every key there is" json "$tmp/watch" '[has("event", "device", "device_label",
	"space", "space_label", "buffer", "size", "generation", "token", "refs", "nth", "certain",
	"offender", "freed", "allocated", "lost")] | all' true
check "watch: no instance is left" same 0 "$(instances)"

mkfifo "$tmp/stay"
btctl alloc 78 1 0x1000 4096 alloc 78 1 0x1000 4096 alloc 78 2 0x2000 100 free 78 2 0x2000 wait \
	<"$tmp/stay" >"$tmp/btctl" &
exec 7>"$tmp/stay"
while ! grep -q ready "$tmp/btctl"; do sleep 0.1; done
bufftrack list --json --device 78 >"$tmp/list"
check "list: the live one" json "$tmp/list" \
	'[.device, .space, .buffer, .size, .refs, .views, .state, .comm]' \
	'["0x4e",1,"0x1000",4096,2,0,"live","btctl"]'
check "list: no more than that" same 1 "$(wc -l <"$tmp/list")"
bufftrack list --json --all --device 78 --space 2 >"$tmp/list"
check "list --all: the freed one" json "$tmp/list" '[.buffer, .state, .refs]' '["0x2000","freed",0]'
bufftrack list --json --device 78 --older-than 1h >"$tmp/list"
check "list --older-than" same 0 "$(wc -l <"$tmp/list")"
check "list: 80 columns" same "" "$(bufftrack list --all | awk 'length > 80')"
bufftrack status --json >"$tmp/status"
check "status: loaded" json "$tmp/status" '[.loaded, .double_free]' '[true,1]'
check "status: by device and space" json "$tmp/status" \
	'.devices[] | select(.device == "0x4e") | [.live, .bytes, .allocs, .frees,
	 (.spaces | map([.space, .live]))]' '[1,4096,3,1,[[1,1],[2,0]]]'
check "status: by client" json "$tmp/status" '.clients[] | select(.comm == "btctl") | .live' 1
check "status: 80 columns" same "" "$(bufftrack status | awk 'length > 80')"

check "unload: in use is an error" fails bufftrack unload
check "unload: and names who" matches btctl "$(bufftrack unload 2>&1)"
bufftrack unload --json >"$tmp/out" 2>/dev/null
check "unload --json: and names who" json "$tmp/out" '[.loaded, .changed, .users[0].comm]' \
	'[true,false,"btctl"]'
check "watch is ready again" watch --count 1 --all --device 78
exec 7>&-
check "watch: a leak ends it" watched
check "watch: a leak" same 1 "$(jq -r .event "$tmp/watch" | grep -cx leak)"

# Names that change while it watches
check "watch is ready to look names up" watch --count 2 --device 78
btctl label 78 first alloc 78 1 0x3000 64 free 78 1 0x3000 free 78 1 0x3000 >/dev/null
sleep 2
btctl label 78 second free 78 1 0x3000 >/dev/null
check "watch: has seen both" watched
check "watch: the name that it has by then" same "first second" \
	"$(jq -r .device_label "$tmp/watch" | xargs)"

# Two of one pid: the first processes of two pid namespaces
watchers=()
for i in 1 2; do
	: >"$tmp/watch.err"
	unshare --pid --fork --kill-child bufftrack watch --json --count 200 --timeout 60 --device 81 \
		>"$tmp/watch.$i" 2>"$tmp/watch.err" &
	watchers+=($!)
	until grep -q watching "$tmp/watch.err"; do sleep 0.1; done
done
for ((i = 0; i < 2; i++)); do
	btctl burst 81 100
done
wait "${watchers[@]}"
check "watch: two of one pid, each has all" same "200 200" \
	"$(grep -c double_free "$tmp/watch.1") $(grep -c double_free "$tmp/watch.2")"
check "watch: two of one pid, nothing is left" same 0 "$(instances)"

check "watch is ready for Ctrl-C" watch
kill -INT "$watcher"
wait "$watcher"
check "watch: nothing is left behind it" same 0 "$(instances)"

"$here/replay_log.py" 100000 "${SEED:-1}" "$tmp/log" "$tmp/wanted"
wanted=$(jq -cS . "$tmp/wanted")
started=$SECONDS
bufftrack replay --json "$tmp/log" >"$tmp/replay" 2>"$tmp/err"
took=$((SECONDS - started))
check "replay: 100,000 lines, right to the unit" same "$wanted" "$(jq -cS '{allocs, frees, released,
	live, ok, double_free, foreign_free, unknown_free, balanced, leaked, over_freed,
	worst: [.worst[] | .frees - .allocs]}' "$tmp/replay")"
check "replay: in a minute" between 0 $took 60
rm "$tmp/log"
check "replay: no such file is an error" fails bufftrack replay "$tmp/log"
check "an unknown command is an error" fails bufftrack bogus
check "an unknown option is a usage error" same 2 "$(bufftrack list --bogus >/dev/null 2>&1; echo $?)"
ktap_finished
