#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every command of bufftrack-tracing(7), as it stands there: each example is taken from
# the page, run in a shell, stopped by Ctrl-C where it goes on until then, and what it
# printed must say what was done meanwhile.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in perf trace-cmd bpftrace; do
	command -v $program >/dev/null || skip_all "no $program"
done
[[ -e $tracing/events/bufftrack/bufftrack_alloc/hist ]] || skip_all "no histogram triggers"

page=$here/bufftrack-tracing.7
[[ -e $page ]] || page=$here/../../userspace/man/bufftrack-tracing.7

# The examples, each in a file of its own, without troff's escapes
awk -v dir="$tmp" '/^\.EX$/ { file = sprintf("%s/%02d.sh", dir, ++nr); next }
	/^\.EE$/ { close(file); file = ""; next }
	file { gsub(/\\-/, "-"); gsub(/\\\(aq/, "\047"); gsub(/\\e/, "\\"); print >file }' "$page"

# Of which a reader of the page sees what is pasted: troff would show these otherwise.
plain()
{
	! awk '/^\.E[XE]$/ { inside = /X/; next }
		inside { gsub(/\\(-|e|\(aq)/, ""); if (/[-\047^~`\\]/) print }' "$page" | grep .
}

# The number of the one example that has this text in it
example()	# TEXT
{
	local files
	mapfile -t files < <(grep -lF -- "$1" "$tmp"/[0-9][0-9].sh)
	[[ ${#files[@]} -eq 1 ]] || { echo "'$1' is in ${#files[@]} examples" >&2; return 1; }
	basename "${files[0]}" .sh
}

# ---- what is done

# Who listens would keep the module in use when this is over, however it ends.
sleeper='' victim='' holder='' generation=''
declare -A group=() events=()
# shellcheck disable=SC2317 # the trap calls it
stop_tracing()
{
	local key trigger
	leave
	echo 0 >$tracing/events/bufftrack/enable
	for trigger in "$tracing"/events/bufftrack/*/trigger; do
		sed -n 's/^\(hist:[^:]*\).*/!\1/p' "$trigger" | while read -r key; do
			echo "$key" >"$trigger"
		done
	done
}
trap stop_tracing EXIT

# It is there before anybody listens, and waits for the end of its input: perf 6.1 does
# not find its way in half of those that start later, as the page says.
waiting_victim()
{
	[[ -p $tmp/fifo ]] || mkfifo "$tmp/fifo"
	sleep infinity >"$tmp/fifo" &
	sleeper=$!
	"$here/victim" cat double <"$tmp/fifo" >"$tmp/victim" &
	victim=$!
}

victims()	# [NUMBER of the example that prints what is live]
{
	local i
	kill "$sleeper"
	wait "$sleeper" "$victim" 2>/dev/null
	[[ -p $tmp/stay ]] || mkfifo "$tmp/stay"
	exec 9<>"$tmp/stay"
	btctl alloc 227 1 1 1000 alloc 227 1 2 500 free 227 1 2 alloc 227 1 3 100000 \
		free 227 1 3 alloc 225 1 0x3000 100 wait <"$tmp/stay" >"$tmp/holder" 9>&- &
	holder=$!
	until grep -q ready "$tmp/holder"; do
		kill -0 "$holder" || return
		sleep 0.1
	done
	btctl free 225 1 0x3000
	btctl alloc 225 1 0x1000 4096 free 225 1 0x1000 free 225 1 0x1000 free 225 1 0x1000
	generation=$(btctl alloc 225 1 0x2000 8192 free 225 1 0x2000 |
		sed -n '1s/.*generation=//p')
	btctl alloc 225 1 0x2000 8192 free 225 1 0x2000 token="$generation" free 225 1 0x2000
	btctl alloc 226 1 0x1 64 reset 226 free 226 1 0x1
	btctl free 225 1 0x7777 free 225 1 0x7777
	btctl alloc 225 1 0x4000 64 alloc 225 1 0x4000 64 exclusive free 225 1 0x4000
	btctl alloc 225 1 0x5000 64 alloc 225 1 0x5000 128 free 225 1 0x5000 free 225 1 0x5000
	btctl alloc 225 1 0x6000 64 view
	# Live bytes are told each second; it takes its time where the host is slow.
	for ((i = 0; i < 600; i++)); do
		[[ ${1:-} ]] || break
		! grep -q '^@live\[227\]: 1000$' "$tmp/$1.out" ||
			! grep -q '^@live\[225\]: 100$' "$tmp/$1.out" || break
		sleep 0.1
	done
	kill "$holder"
	wait "$holder" 2>/dev/null
	exec 9>&-
	btctl free 225 1 0x3000
}

# ---- how it is run

# Runs an example to its end
run()	# NUMBER
{
	(cd "$tmp" && bash "./$1.sh") >"$tmp/$1.out" 2>&1 && ran+=("$1")
}

# Starts one that goes on until Ctrl-C, in a process group of its own, as a shell
# that somebody types at does
start()	# NUMBER
{
	set -m
	(cd "$tmp" && exec bash "./$1.sh") >"$tmp/$1.out" 2>&1 &
	set +m
	group[$1]=$!
	ran+=("$1")
}

# How many events it has open
opened()	# PID
{
	find "/proc/$1/fd" -lname '*perf_event*' 2>/dev/null | wc -l
}

# It listens: it has its events open, and has gone to sleep until there are some.
listens()	# NUMBER
{
	local pid
	if grep -q "Hit Ctrl^C" "$tmp/$1.out"; then
		"$here/recorded" --of "$(pgrep -g "${group[$1]}" -ox trace-cmd)" true
		return
	fi
	for pid in $(pgrep -g "${group[$1]}" -x 'perf|bpftrace'); do
		events[$1]=$(opened "$pid")
		if [[ ${events[$1]} -gt 0 ]] && grep -qE 'poll|nanosleep' "/proc/$pid/wchan"; then
			return 0
		fi
	done
	return 1
}

all_listen()	# NUMBER...
{
	local number i
	for number; do
		for ((i = 0; i < 6000; i++)); do
			if listens "$number"; then continue 2; fi
			kill -0 "${group[$number]}" 2>/dev/null || break
			sleep 0.1
		done
		echo "this does not come up:"
		cat "$tmp/$number.sh" "$tmp/$number.out"
		return 1
	done
}

# bpftrace 0.17 looks for a Ctrl-C in epoll_wait() only, and goes on, with its events
# open, after one that came while it was elsewhere: who sits there types it again.
missed_it()	# NUMBER
{
	local pid
	pid=$(pgrep -g "${group[$1]}" -x bpftrace) && [[ $(opened "$pid") -eq ${events[$1]} ]] &&
		grep -q poll "/proc/$pid/wchan"
}

interrupt()	# NUMBER...
{
	local number i status=0
	for number; do kill -INT -- "-${group[$number]}"; done
	for number; do
		for ((i = 1; i <= 3000; i++)); do
			kill -0 -- "-${group[$number]}" 2>/dev/null || break
			sleep 0.1
			[[ $((i % 50)) -ne 0 ]] || ! missed_it "$number" ||
				kill -INT -- "-${group[$number]}"
		done
		if [[ $i -gt 3000 ]]; then
			echo "Ctrl-C does not end this:"
			cat "$tmp/$number.sh" "$tmp/$number.out"
			ps -o pid,stat,wchan:20,args -g "${group[$number]}"
			kill -KILL -- "-${group[$number]}"
			status=1
		fi
		wait "${group[$number]}"
		unset "group[$number]"
	done
	return $status
}

# What example TEXT printed has, in some line, each of these
said()	# TEXT REGULAR-EXPRESSION...
{
	local number
	number=$(example "$1") || return
	shift
	for regex; do
		grep -Eq -- "$regex" "$tmp/$number.out" && continue
		echo "no '$regex' in:"
		cat "$tmp/$number.out"
		return 1
	done
}

# The victim's frames, innermost first
offender()
{
	local out
	out=$tmp/$(example "perf script").out
	same "report finalize_old_reference collect_garbage main" "$(
		awk '/^victim/ { on = 1 } !NF { on = 0 } on && /victim\)$/ { print $2 }' "$out" |
			head -n 4 |
			paste -sd ' ')" || { cat "$out"; return 1; }
}

ran=()
# Those that go on until Ctrl-C; perf and trace-cmd one time, bpftrace another
until_stopped()	# REGULAR-EXPRESSION
{
	grep -lE "^($1) " "$tmp"/[0-9][0-9].sh | xargs -n 1 basename -s .sh
}

record_all()	# NUMBER...
{
	local number live='' status=0
	waiting_victim
	for number; do
		start "$number"
		! grep -q 'print(@live)' "$tmp/$number.sh" || live=$number
	done
	all_listen "$@" && victims "$live" >/dev/null || status=1
	interrupt "$@" || status=1
	return $status
}

mapfile -t records < <(until_stopped 'perf (stat|record)|trace-cmd record')
mapfile -t programs < <(until_stopped bpftrace)
mapfile -t wanted < <(cd "$tmp" && basename -s .sh -a [0-9][0-9].sh)

# A check of what bpftrace does, which needs BTF for it; a skip where there is none
probe()	# NAME COMMAND...
{
	if [[ -e /sys/kernel/btf/vmlinux ]]; then
		check "$@"
	else
		ktap_test_skip "$1: this kernel has no BTF"
	fi
}

begin 39
check "the page's examples can be pasted" plain
check "format" run "$(example "/format")"
check "format: its fields" said "/format" 'field:u64 device;' 'field:pid_t freed_pid;'
check "ftrace: begun" run "$(example "echo 1 >")"
btctl alloc 225 1 1 64 free 225 1 1 free 225 1 1 >/dev/null
check "ftrace" run "$(example "tracing/trace")"
check "ftrace: in order" said "tracing/trace" ' bufftrack_double_free: device=0xe1 .*comm=btctl'
check "ftrace: ended" run "$(example "echo 0 >")"
check "hist: sizes, begun" run "$(example "echo 'hist:keys=size.log2'")"
check "hist: processes, begun" run "$(example "echo 'hist:keys=comm,pid'")"
check "perf and trace-cmd listen" record_all "${records[@]}"
check "perf stat" said "perf stat" '^ +2 +bufftrack:bufftrack_unknown_free ' \
	'^ +1 +bufftrack:bufftrack_stale_free ' '^ +1 +bufftrack:bufftrack_reset '
check "perf report" run "$(example "perf report")"
check "perf report: bad frees by process" said "perf report" "event 'bufftrack:bufftrack_double_free'" \
	'^ +33\.33% +victim +[0-9]+:victim' '^ +66\.67% +btctl +[0-9]+:btctl'
check "perf script" run "$(example "perf script")"
check "perf script: the offender's stack" offender
check "hist: sizes" run "$(example "bufftrack_alloc/hist")"
check "hist: sizes, by powers of two" said "bufftrack_alloc/hist" 'size: ~ 2\^13 +\} hitcount: +3$'
check "hist: sizes, ended" run "$(example "echo '!hist:keys=size.log2'")"
check "hist: processes" run "$(example "grep comm:")"
check "hist: processes, by verdict" said "grep comm:" \
	'double_free/hist:\{ comm: victim +, pid: +[0-9]+ \} hitcount: +1$' \
	'double_free/hist:\{ comm: btctl +, pid: +[0-9]+ \} hitcount: +2$' \
	'free_after_exit/hist:\{ comm: btctl .* hitcount: +1$'
check "hist: processes, ended" run "$(example "echo '!hist:keys=comm,pid'")"
check "hist: no trigger is left" fails grep -l '^hist' $tracing/events/bufftrack/*/trigger
check "trace-cmd report" run "$(example "report -i trace.dat")"
check "trace-cmd report: all" said "report -i trace.dat" ' bufftrack_dangling: +device=0xe1 ' \
	' bufftrack_leak: +device=0xe3 .* size=1000 '
check "trace-cmd report -F" run "$(example "report -F")"
check "trace-cmd report -F: nth > 1, and no other" same "2 " "$(
	sed -nE 's/.* bufftrack_[a-z_]*: .*nth=([0-9]+) .*/\1/p' "$tmp/$(example "report -F").out" |
		paste -sd ' ') "

probe "bpftrace listens" record_all "${programs[@]}"
probe "bpftrace: double free" said "bufftrack_double_free {" \
	'^victim \(pid [0-9]+\) freed 0x296ccc80 again, victim \(pid [0-9]+\) had freed it$' \
	'^btctl \(pid [0-9]+\) freed 0x1000 again, btctl '
probe "bpftrace: stale free" said "bufftrack_stale_free {" \
	"^btctl \(pid [0-9]+\) meant generation $generation of 0x2000, it is [0-9]+ now$"
probe "bpftrace: foreign free" said "bufftrack_foreign_free {" \
	"^btctl \(pid [0-9]+\) freed 0x3000 of btctl \(pid $holder\)$"
probe "bpftrace: free after exit" said "bufftrack_free_after_exit {" \
	'^btctl \(pid [0-9]+\) freed 0x3000 of btctl, gone for [0-9]+ ms$'
probe "bpftrace: free after reset" said "bufftrack_free_after_reset {" '^@\[btctl, [0-9]+, 226\]: 1$'
probe "bpftrace: unknown free" said "bufftrack_unknown_free {" '^@\[btctl, [0-9]+, 0\]: 2$'
probe "bpftrace: missed free" said "bufftrack_missed_free {" \
	'^btctl \(pid [0-9]+\) never freed 0x4000, btctl \(pid [0-9]+\) has it now$'
probe "bpftrace: size mismatch" said "bufftrack_size_mismatch {" \
	'^btctl \(pid [0-9]+\) says 0x5000 has 128 bytes, it has 64$'
probe "bpftrace: dangling" said "bufftrack_dangling {" \
	'^btctl \(pid [0-9]+\) views 0x6000, which is not there$' '^ +(0x[0-9a-f]+|.*ioctl.*\+)'
probe "bpftrace: leak" said "bufftrack_leak {" '^@leaked\[btctl, [0-9]+\]: 1100$'
probe "bpftrace: live bytes" said "print(@live)" '^@live\[227\]: 1000$' '^@live\[227\]: 0$' \
	'^@live\[225\]: 100$' '^@live\[225\]: 0$' '^@live\[226\]: 0$'
# Those that a probe() has skipped are named above.
[[ -e /sys/kernel/btf/vmlinux ]] || ran+=("${programs[@]}")
check "every example of the page is named here" same "${wanted[*]}" \
	"$(printf '%s\n' "${ran[@]}" | sort | paste -sd ' ')"
ktap_finished
