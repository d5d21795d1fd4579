#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack report: what trace-cmd and perf have recorded, against what watch and
# replay have said of the same run.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack perf trace-cmd jq python3; do
	command -v $program >/dev/null || skip_all "no $program"
done
[[ -e $tracing/events/bufftrack ]] || skip_all "no events of bufftrack in tracefs"
seed=${SEED:-1}

watch()	# FILE OPTION...
{
	local out=$1
	shift
	watch_into "$out" --buffer-size 8192 "$@"
}

watched()
{
	kill -INT "$watcher"
	wait "$watcher" || { cat "$tmp/watch.err"; return 1; }
}

# What a recording cannot have is left out: names; and the times, that are compared
# by themselves.
told()	# FILE
{
	jq -cS 'select(.event != "summary") | del(.device_label, .space_label,
		(.. | .time?))' "$1"
}

same_reports()	# WATCHED REPORTED
{
	told "$1" >"$tmp/a"
	told "$2" >"$tmp/b"
	[[ -s $tmp/a ]] || { echo "nothing was watched"; return 1; }
	diff "$tmp/a" "$tmp/b" >"$tmp/diff" || { head -n 20 "$tmp/diff"; return 1; }
}

# Each takes its own time of an event; half of them are less than that part of the whole
# time apart, however slow the machine.
same_times()	# WATCHED REPORTED PART
{
	jq -cs 'map(select(.event != "summary") | .offender.time)' "$1" >"$tmp/a"
	jq -cs 'map(select(.event != "summary") | .offender.time)' "$2" >"$tmp/b"
	jq -cs '(.[0] | max - min) as $all |
		[transpose[] | (.[0] - .[1]) | fabs] | sort | .[length / 2 | floor] / $all' \
		"$tmp/a" "$tmp/b" >"$tmp/apart"
	same true "$(jq --argjson most "$3" '. < $most' "$tmp/apart")" || { cat "$tmp/apart"; return 1; }
}

# The keys that replay and report have in common
balance()	# FILE
{
	jq -cS 'select(.event == "summary" or has("clients")) | del(.event, .before, .events, .lost,
		.lost_more, .lost_shared, .foreign, .unknown, .repeated, .no_balance, .damaged, .clients, .ignored, .failed)' "$1"
}

of_summary()	# FILE EXPRESSION WANTED
{
	same "$3" "$(jq -c "select(.event == \"summary\") | $2" "$1")" || { tail -n 1 "$1"; return 1; }
}

report()	# OUT OPTION... FILE
{
	local out=$1
	shift
	bufftrack report "$@" >"$out" 2>"$tmp/err" || { cat "$tmp/err"; return 1; }
}

refuses()	# MESSAGE FILE
{
	local status=0
	bufftrack report "$2" >"$tmp/out" 2>"$tmp/err" || status=$?
	same 1 $status && matches "$1" "$(<"$tmp/err")"
}

begin 60

# A log whose balance is known: what is watched of its replay, its clients' leaving too,
# is replayed once more, and recorded by both.
"$here/replay_log.py" 300 "$seed" "$tmp/log" "$tmp/wanted" 8
check "watch is ready" watch "$tmp/all" --all
bufftrack replay --json "$tmp/log" >"$tmp/replay"
check "watch has seen it" watched
unload
load
check "watch is ready again" watch "$tmp/watched"
perf record -q -a -m 4M -k mono -e 'bufftrack:*' -o "$tmp/perf.data" -- \
	trace-cmd record -q -b 4096 -e bufftrack -o "$tmp/trace.dat" \
	"$here/recorded" bufftrack replay --json "$tmp/all" >"$tmp/replay" 2>"$tmp/perf.err"
check "watch has seen that" watched
# perf has watch's clock. The other one's is translated, and where the TSC is not
# stable, as in an emulator, it goes by jumps of milliseconds.
declare -A apart=([perf.data]=0.01 [trace.dat]=0.5)
for file in trace.dat perf.data; do
	check "$file: a report" report "$tmp/report" --json "$tmp/$file"
	check "$file: watch and report agree" same_reports "$tmp/watched" "$tmp/report"
	check "$file: and on the times" same_times "$tmp/watched" "$tmp/report" "${apart[$file]}"
	check "$file: replay and report agree" same "$(balance "$tmp/replay")" \
		"$(balance "$tmp/report")"
	check "$file: and are right" same "$(jq -cS '.live = 0' "$tmp/wanted")" "$(
		jq -cS 'select(.event == "summary") | {allocs, frees, released, live, ok, double_free,
			foreign_free, unknown_free, balanced, leaked, over_freed, worst: [.worst[] | .frees - .allocs]}' "$tmp/report")"
	check "$file: nothing is lost, or from before" of_summary "$tmp/report" \
		'[.lost, .lost_more, .before, .leak > 0]' '[0,false,0,true]'
	bufftrack report "$tmp/$file" >"$tmp/text"
	check "$file: as text: 80 columns" same "" "$(awk 'length > 80' "$tmp/text")"
	check "$file: as text: each report and the balance" same \
		"$(wc -l <"$tmp/watched") $(jq .allocs "$tmp/replay")" \
		"$(grep -c ^SUMMARY: "$tmp/text") $(awk '$1 == "allocs" { print $2 }' "$tmp/text")"
	check "$file: damaged copies are refused" "$here/damage.py" 7 "$seed" "$tmp/$file" "$tmp/copy"
done

# More events than there is room for; call chains; buffers that are live when the
# recording ends; and, by trace-cmd, bad events alone
mkfifo "$tmp/stay"
cat >"$tmp/script" <<-END
	btctl bury 79 3000
	# perf has read what it had room for, and waits for more.
	perf=\$(ps -o ppid= -p \$PPID)
	until grep -q poll /proc/\$((perf))/wchan; do sleep 0.1; done
	victim double
	btctl alloc 78 1 0x1000 4096 alloc 78 1 0x2000 8192 alloc 78 2 0x2000 100 \
		free 78 1 0x2000 free 78 1 0x2000 wait <"$tmp/stay" >"$tmp/btctl" &
	exec 7>"$tmp/stay"
	while ! grep -q ready "$tmp/btctl"; do sleep 0.1; done
	bufftrack status --json >"$tmp/status"
END
exec 8<>"$tmp/stay"
BUFFTRACK_STACK=8 perf record -q -a -g -m 4 --buildid-mmap -e 'bufftrack:*' -o "$tmp/perf.data" -- \
	trace-cmd record -q -e bufftrack:bufftrack_double_free -o "$tmp/bad.dat" \
	"$here/recorded" bash "$tmp/script" >/dev/null 2>"$tmp/perf.err" 8>&-
check "perf -g: a report, and a trace for perfetto" report "$tmp/report" --json \
	--perfetto "$tmp/perfetto" "$tmp/perf.data"
# 6008 calls, and a few clients that come and go
check "perf -g: each event is told or counted as lost" between 6008 \
	"$(jq 'select(.event == "summary") | .allocs + .frees + .lost' "$tmp/report")" 6030
check "perf -g: some are lost" of_summary "$tmp/report" '.lost > 0' true
bufftrack report --summary "$tmp/perf.data" >"$tmp/text"
check "perf -g: that is said" matches "events? lost" "$(<"$tmp/text")"
check "perf -g: the offender's stack, with its symbols" matches "ioctl" "$(jq -c \
	'select(.device == "0x51") | .offender.stack[0].symbol' "$tmp/report")"
check "perf -g: the other stacks say why they are missing" matches "only the module" "$(jq -c \
	'select(.device == "0x51") | .freed.no_stack' "$tmp/report")"
check "perfetto: the counters end at the live bytes" same \
	"$(jq -cS '[.devices[] | select(.device == "0x4e") | .spaces[] |
		["device 78 space \(.space) live", .bytes]]' "$tmp/status")" \
	"$(jq -cS '[.traceEvents[] | select(.ph == "C" and (.name | startswith("device 78 ")))] |
		group_by(.name) | map([.[0].name, last.args.bytes])' "$tmp/perfetto")"
check "perfetto: an instant for each bad free" same \
	"$(jq -c 'select(.event != "summary") | [.event, .offender.pid]' "$tmp/report")" \
	"$(jq -c '.traceEvents[] | select(.ph == "i") | [.name, .pid]' "$tmp/perfetto")"
exec 8>&-
while pidof -q btctl; do sleep 0.1; done

# What is read is more than there is room for on the way.
status=0
timeout 60 bufftrack report --all --json "$tmp/perf.data" >/dev/full 2>"$tmp/err" || status=$?
check "an output that is full ends it" same "1 1" "$status $(grep -c "cannot write" "$tmp/err")"
cp "$tmp/perf.data" "$tmp/copy"
status=0
bufftrack report --summary --perfetto "$tmp/copy" "$tmp/copy" >/dev/null 2>&1 || status=$?
check "its own recording is not written over" same "1 0" \
	"$status $(cmp -s "$tmp/copy" "$tmp/perf.data"; echo $?)"
status=0
bufftrack report "$tmp/bad.dat" >&- 2>"$tmp/err" || status=$?
check "an output that is closed" same "1 1" "$status $(grep -c "cannot write" "$tmp/err")"

check "bad events alone" report "$tmp/report" --json "$tmp/bad.dat"
check "bad events alone: they are counted, and no balance" of_summary "$tmp/report" '[.double_free,
	.allocs, .live, .ok, .balanced, .worst, .no_balance != null]' \
	'[2,null,null,null,null,null,true]'
bufftrack report "$tmp/bad.dat" >"$tmp/text" 2>&1
check "bad events alone: that is said" matches "no balance: only bad events" "$(<"$tmp/text")"
check "bad events alone: nor what was earlier" same 0 "$(grep -c ' earlier$' "$tmp/text")"

# Two PRIVATE clients of one address: what one frees too often is not what the other leaks.
cat >"$tmp/script" <<-END
	btctl private alloc 82 1 0x7000 64
	btctl private alloc 82 1 0x7000 64 free 82 1 0x7000 free 82 1 0x7000
END
check "watch is ready for PRIVATE clients" watch "$tmp/all" --all
trace-cmd record -q -e bufftrack -o "$tmp/private.dat" "$here/recorded" bash "$tmp/script" >/dev/null
check "watch has seen them" watched
check "PRIVATE clients: a report" report "$tmp/report" --json "$tmp/private.dat"
bufftrack replay --json "$tmp/all" >"$tmp/replay"
check "PRIVATE clients: each by itself, in a report and when replayed" same \
	"[0,1,1] [0,1,1]" "$(jq -c 'select(.event == "summary") |
		[.balanced, .leaked, .over_freed]' "$tmp/report") $(
	jq -c '[.balanced, .leaked, .over_freed]' "$tmp/replay")"

exits_with()	# STATUS COMMAND...
{
	local status=0 wanted=$1
	shift
	"$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	same "$wanted" $status || { cat "$tmp/err"; return 1; }
}

check "a bad free is no failure" exits_with 0 bufftrack report "$tmp/private.dat"
check "--error-exitcode: it is" exits_with 4 bufftrack report --error-exitcode 4 "$tmp/private.dat"
check "--error-exitcode: also of the balance only" exits_with 4 bufftrack report -s -e 4 "$tmp/private.dat"
check "--error-exitcode: of what is reported" exits_with 0 bufftrack report -e 4 -d 1 "$tmp/private.dat"
check "replay: a bad free is no failure" exits_with 0 bufftrack replay "$tmp/all"
check "replay --error-exitcode: it is" exits_with 5 bufftrack replay --error-exitcode 5 "$tmp/all"
printf '{\n   known\n   double_free\n   ...\n}\n{\n   not there\n   leak\n   fun:main\n}\n' >"$tmp/known"
check "--suppressions: no failure" exits_with 0 bufftrack report -e 4 --suppressions "$tmp/known" \
	"$tmp/private.dat"
check "--suppressions: what was used, and what was not" matches \
	"suppressed: 1.*1 by known.*unused: not there" "$(<"$tmp/out")"
check "--suppressions: no report of it" same 0 "$(grep -c "^SUMMARY: double-free" "$tmp/out")"
check "--suppressions: of the balance only, too" exits_with 0 bufftrack report -s -e 4 \
	--suppressions "$tmp/known" "$tmp/private.dat"
check "--gen-suppressions: one for each report" same "$(bufftrack report "$tmp/private.dat" |
	grep -c ^SUMMARY:)" "$(bufftrack report --gen-suppressions "$tmp/private.dat" | grep -c '^{$')"

# The double free of PRIVATE clients: which filters let it through
told()	# OPTION...
{
	bufftrack report --json "$@" "$tmp/private.dat" 2>/dev/null |
		jq -c 'select(.event == "double_free") | [.device, .space]'
}
free=$(bufftrack report --json "$tmp/private.dat" 2>/dev/null | jq -c 'select(.event == "double_free")')
client=$(jq .client <<<"$free")
time=$(jq '.offender | .time // .recorded' <<<"$free")
later()	# SECONDS
{
	awk -v time="$time" -v more="$1" 'BEGIN { printf "%.6f", time + more }'
}
check "--client" same '["0x52",1]' "$(told --client "$client")"
check "--client: another" same "" "$(told --client $((client + 1)))"
check "--space" same '["0x52",1] ' "$(told --space 1) $(told --space 2)"
check "--tag" same '["0x52",1] ' "$(told --tag 0) $(told --tag 9)"
check "--since" same '["0x52",1] ' "$(told --since "$(later -1)") $(told --since "$(later 1)")"
check "--until" same ' ["0x52",1]' "$(told --until "$(later -1)") $(told --until "$(later 1)")"
check "--error-exitcode: of that time" exits_with 0 bufftrack report -e 4 --since "$(later 1)" \
	"$tmp/private.dat"

echo nothing >"$tmp/file"
check "another file is refused" refuses "neither" "$tmp/file"
ktap_finished
