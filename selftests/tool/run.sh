#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack run: the stacks with their symbols, what it counts, what it exits with.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v bufftrack >/dev/null || skip_all "the tool is not on PATH"
command -v objcopy >/dev/null || skip_all "no objcopy"

# Waits for it, for a minute
appears()	# PATTERN FILE
{
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -q "$1" "$2" || break
		sleep 0.1
	done
}

# Runs the command, $under what is said; what is reported is in $tmp/report
under=()
run()	# OPTION... -- COMMAND...
{
	"${under[@]}" bufftrack run --output "$tmp/report" "$@" >"$tmp/out" 2>"$tmp/err"
}

exits()	# STATUS OPTION... -- COMMAND...
{
	local status=0 wanted=$1
	shift
	run "$@" || status=$?
	same "$wanted" $status || { cat "$tmp/err" "$tmp/report"; return 1; }
}

# The summary as text says so
said_of()	# PATTERN OPTION... -- COMMAND... [NAME=VALUE]
{
	local wanted=$1 last=${*: -1} setting=()
	shift
	if [[ $last == *=* ]]; then
		setting=("$last")
		set -- "${@:1:$#-1}"
	fi
	"${under[@]}" env "${setting[@]}" bufftrack run --output "$tmp/report" "$@" >"$tmp/out" 2>"$tmp/err"
	matches "$wanted" "$(<"$tmp/report")"
}

# The first object of the report for which EXPRESSION is true
json()	# FILE EXPRESSION WANTED
{
	same "$3" "$(jq -cs "$2" "$1")" || { cat "$1"; return 1; }
}

# "FUNCTION:LINE FUNCTION:LINE", as the victim has said it, innermost first
said()	# WHAT...
{
	local what text=
	for what; do
		text+="${text:+ }$(awk -v what="$what" '$1 == what { print $2 ":" $3 }' "$tmp/out")"
	done
	echo "$text"
}

# The same of the innermost frames of a stack in a report
told()	# FILE OFFENDER|FREED|ALLOCATED HOW-MANY
{
	jq -r "select(.event == \"double_free\") | [.$2.stack[:$3][] |
		\"\(.symbol):\(.line)\"] | join(\" \")" "$1"
}

three_stacks()	# FILE
{
	same "$(said offence offence-caller)" "$(told "$1" offender 2)" &&
		same "$(said free free-caller)" "$(told "$1" freed 2)" &&
		same "$(said alloc)" "$(told "$1" allocated 1)" && return
	cat "$1"
	return 1
}

# A line "    #N FUNCTION  victim.c:LINE  ..." for each of them
text_frames()	# FILE
{
	local line what
	for what in offence offence-caller free free-caller alloc; do
		line=$(said "$what")
		grep -Eq "^    #[01] ${line%:*}  victim\.c:${line#*:}  (victim\+0x|\(inlined\))" "$1" ||
			{ echo "no $line in"; cat "$1"; return 1; }
	done
	line=$(said offence)
	grep -q "^SUMMARY: double-free ${line%:*} victim.c:${line#*:} device 81 space 1 8192$" "$1" ||
		{ cat "$1"; return 1; }
}

# A watch that stops before the victim runs and goes on when it is gone, after
# COMMAND was done
watch_after()	# VICTIM COMMAND...
{
	local victim=$1 watcher
	shift
	watch_into "$tmp/watch" --timeout 60 --count 1
	kill -STOP "$watcher"
	"$victim" double >"$tmp/out"
	"$@"
	kill -CONT "$watcher"
	wait "$watcher"
}

# A watch that has read the victim's file, which then is emptied where it is
cut_between()	# VICTIM
{
	local watcher status=0
	watch_into "$tmp/watch" --timeout 60 --count 2
	"$1" double >"$tmp/out"
	appears double_free "$tmp/watch"
	kill -STOP "$watcher"
	"$1" double >"$tmp/out"
	: >"$1"
	kill -CONT "$watcher"
	wait "$watcher" || status=$?
	same 0 $status && json "$tmp/watch" 'map(.offender.stack[0].symbol != null)' '[true,false]'
}

# A watch that has read a file without a build id, which another one takes the place of
replaced_between()	# VICTIM OTHER
{
	local watcher status=0
	watch_into "$tmp/watch" --timeout 60 --count 2
	"$1" double >"$tmp/out"
	appears double_free "$tmp/watch"
	mv "$2" "$1"
	"$1" double >"$tmp/out"
	wait "$watcher" || status=$?
	same 0 $status && json "$tmp/watch" 'map(.offender.stack[0].symbol != null)' '[false,true]'
}

# Of the offender's first frame
frame()	# FILE EXPRESSION
{
	jq -c "select(.event == \"double_free\") | .offender.stack[0] | $2" "$1"
}

# A run whose command waits, and what is done meanwhile; leaves $status
meanwhile()	# COMMAND...
{
	: >"$tmp/out"
	bufftrack run --json --output "$tmp/report" -- victim sleep >"$tmp/out" 2>"$tmp/err" &
	runner=$!
	appears ready "$tmp/out"
	"$@" >/dev/null
	kill -USR1 $runner
	wait $runner
	status=$?
}

# A run whose command is over, and that waits for a server which does not answer: it heeds
# a signal before it gives the server up
ends_early()
{
	local status=0
	: >"$tmp/asked"
	python3 - >"$tmp/asked" <<-'END' &
		import socket
		server = socket.create_server(("127.0.0.1", 8003))
		print("listens", flush=True)
		held = [server.accept()]
		print("asked", flush=True)
		held += [server.accept() for _ in range(100)]
	END
	server=$!
	appears listens "$tmp/asked"
	DEBUGINFOD_URLS=http://127.0.0.1:8003/ XDG_CACHE_HOME=$tmp HOME=$tmp \
		bufftrack run --output "$tmp/report" -- "$tmp/apart/victim" double >"$tmp/out" 2>"$tmp/err" &
	runner=$!
	appears asked "$tmp/asked"
	sleep 1
	kill -TERM $runner
	SECONDS=0
	wait $runner || status=$?
	kill $server
	same 3 $status && between 0 $SECONDS 40 && matches "a signal came" "$(<"$tmp/report")"
}

# Commands that are over before what has started them goes on: in most of these, as the
# two have one CPU, and neither stops the other one to go on itself.
short_ones()
{
	local i
	cp "$(type -P busybox || type -P sh)" "$tmp/sh"
	for ((i = 0; i < 10; i++)); do
		exits 7 -- "$tmp/sh" -c "exit 7" || return
	done
}

# A command that unloads the module, and loads it again, once what came before was told
cat >"$tmp/reload" <<-'END'
	until_told() { until grep -q "$1" "$2"; do sleep 0.1; done; }
	victim double
	until_told double_free "$tmp/report"
	bufftrack unload && bufftrack load || exit
	until_told "loaded again" "$tmp/err"
	victim double
	exit 5
END

victim=$here/victim
mkdir "$tmp/apart" "$tmp/copy"
cp "$victim" "$tmp/copy/victim"
cp "$victim" "$tmp/apart/victim"
objcopy --only-keep-debug "$victim" "$tmp/apart/victim.debug"
objcopy --strip-all "$tmp/apart/victim"
(cd "$tmp/apart" && objcopy --add-gnu-debuglink=victim.debug victim)
build_id=$(readelf -n "$victim" | awk '/Build ID/ { print $3 }')
unset DEBUGINFOD_URLS BUFFTRACK_STACK BUFFTRACK_TRAP

begin 100
check "a double free exits with 3" exits 3 --json -- victim double
check "three stacks, by function and line" three_stacks "$tmp/report"
check "the module, its build id, the file" same '["victim","'"$build_id"'",true]' "$(frame "$tmp/report" \
	'[(.module | split("/") | last), .build_id, (.file | endswith("victim.c"))]')"
check "an inlined function is told as one" same '[true,false]' "$(jq -c \
	'select(.event == "double_free") | [.freed.stack[:2][].inlined]' "$tmp/report")"
check "the summary" json "$tmp/report" 'last | [.event, .status, .allocs, .frees, .bad_frees,
	.double_free, .leak, .lost]' '["summary",0,1,1,1,1,0,0]'
check "the summary: the peak by space" json "$tmp/report" 'last | .spaces |
	map([.device, .space, .peak_bytes])' '[["0x51",1,8192]]'
check "as text" exits 3 -- victim double
check "as text: three stacks, and the line for grep" text_frames "$tmp/report"
check "as text: 80 columns" same "" "$(awk 'length > 80' "$tmp/report")"
check "as text: the summary" matches "allocs: 1, frees: 1, bad: 1" "$(<"$tmp/report")"

watch_after "$victim" true
check "three stacks, after the process is gone" three_stacks "$tmp/watch"
bufftrack list --all --json --device 0x51 >"$tmp/list"
check "and in the list" json "$tmp/list" 'last | [.allocated, .ended | .stack[0].symbol]' \
	'["make_buffer","drop_reference"]'
bufftrack list --all --by site --device 0x51 >"$tmp/list"
check "list --by site: the bytes by who allocated them" matches \
	"SITE"$'\n'"   8192        1 make_buffer victim.c:$(said alloc | cut -d : -f 2)"$'\n' "$(<"$tmp/list")"$'\n'
check "list --by site --json" same '["make_buffer",1,8192]' "$(
	bufftrack list --all --by site --json --device 0x51 | jq -c '[(.site | split(" ")[0]), .buffers, .bytes]')"
check "list --folded: the stack, outermost first" matches "main;make_buffer 8192$" \
	"$(bufftrack list --all --folded --device 0x51)"
watch_after "$tmp/apart/victim" true
check "three stacks, with the debug file apart" three_stacks "$tmp/watch"
watch_after "$tmp/apart/victim" rm "$tmp/apart/victim.debug"
check "stripped: the module, offset and build id" same '["victim","'"$build_id"'",null,true]' \
	"$(frame "$tmp/watch" '[(.module | split("/") | last), .build_id, .symbol, (.offset > "0x")]')"
check "stripped: that is said" matches stripped "$(frame "$tmp/watch" .unresolved)"
watch_after "$tmp/apart/victim" mkfifo "$tmp/apart/victim.debug"
check "a FIFO for its debug file: nobody waits" matches stripped "$(frame "$tmp/watch" .unresolved)"
watch_after "$tmp/copy/victim" cp /bin/true "$tmp/copy/victim.new"
watch_after "$tmp/copy/victim" mv "$tmp/copy/victim.new" "$tmp/copy/victim"
check "the file has changed: no symbol, and why" matches "null.*changed since" \
	"$(frame "$tmp/watch" '[.symbol, .unresolved]')"
cp "$victim" "$tmp/copy/victim"
check "the file is cut short between two reports: both are told" cut_between "$tmp/copy/victim"
objcopy --remove-section .note.gnu.build-id "$victim" "$tmp/copy/other"
objcopy --remove-section .note.gnu.build-id --strip-all "$victim" "$tmp/copy/victim"
check "the file is replaced, without a build id: the new one is looked into" \
	replaced_between "$tmp/copy/victim" "$tmp/copy/other"

check "a good command exits as it does" exits 7 -- victim exit 7
check "a signal is 128 and its number" exits 143 -- victim kill 15
check "--error-exitcode" exits 42 --error-exitcode 42 -- victim double
check "--error-exitcode 0" exits 5 --error-exitcode 0 -- victim double exit 5
check "a child's double free counts" exits 3 -- victim child double
check "an unknown free does, of a client that was seen from its first call on" exits 3 --json -- \
	victim unknown
check "and is told" json "$tmp/report" '[.[] | .event, .unknown_free, .bad_frees]' \
	'["unknown_free",null,null,"summary",1,1]'
check "--no-unknown: it does not" exits 0 --json --no-unknown -- victim unknown
check "but is told" json "$tmp/report" '[.[] | .event, .unknown_free, .bad_frees]' \
	'["unknown_free",null,null,"summary",1,0]'
check "--no-unknown: and that is said" said_of "not counted: --no-unknown" --no-unknown -- victim unknown
check "a leak does not" exits 0 --json -- victim child leak
check "but is counted" json "$tmp/report" '[.[] | .event, .leak, .leaked_bytes]' '["summary",1,8192]'
check "--leak-check=full: it does" exits 3 --json --leak-check=full -- victim leak
check "and is told" json "$tmp/report" '[first | .event, .allocated.stack[0].symbol]' \
	'["leak","make_buffer"]'
rm "$tmp/apart/victim.debug"
if ldconfig -p | grep -q 'libdebuginfod\.so\.1 '; then
	check "a signal when the command is over: it ends" ends_early
else
	ktap_test_skip "a signal when the command is over: it ends: no libdebuginfod"
fi
echo 1 >/sys/module/bufftrack/parameters/history
btctl bury 81 3 >/dev/null
check "an unknown free does not where history was lost" exits 0 --json -- victim unknown
check "but is told, too" json "$tmp/report" '[.[] | .event, .unknown_free, .bad_frees]' \
	'["unknown_free",null,null,"summary",1,0]'
check "and the summary says how to count it" said_of "1 may be of older buffers" -- victim unknown
check "--unknown: it does" exits 3 --unknown -- victim unknown
check "--unknown and --no-unknown: misused" exits 2 --unknown --no-unknown -- victim unknown

check "nothing was tracked: the summary says so" said_of "nothing was tracked.*libbufftrack" -- true
check "nothing was tracked: as the command does" exits 0 --json -- true
check "nothing was tracked: in JSON, too" json "$tmp/report" 'last | [.clients, .complete,
	(.not_tracked | test("libbufftrack"))]' '[0,true,true]'
check "BUFFTRACK=off: that is the reason" said_of "BUFFTRACK=off is set" -- true BUFFTRACK=off
check "--require-client: it fails" exits 125 --require-client -- true
check "--require-client: even with --error-exitcode 0" exits 125 --require-client -e 0 -- true
check "--require-client: fine where there was a client" exits 0 --json --require-client -- btctl wait
check "a client is counted" json "$tmp/report" 'last | [.clients, .not_tracked]' '[1,null]'
check "all was seen, but the command failed: as it does" exits 7 --require-client -- sh -c "exit 7"

# Who calls sudo has SUDO_UID; its environment is that of the process sudo.
nobody_is=$(id -u nobody)
under=(env SUDO_UID="$nobody_is" SUDO_USER=nobody)
# shellcheck disable=SC2016
check "sudo: the command runs as who called it" exits 0 -- sh -c 'echo $(id -u) $(id -G) $USER ${SUDO_UID-}'
check "sudo: with its groups and its name" same "$nobody_is $(id -G nobody) nobody" "$(<"$tmp/out")"
check "sudo: that it may not open the device is said" said_of "may not open /dev/bufftrack.*group" -- true
check "--as-root: as root" exits 0 --as-root -- id -u
check "--as-root: it did" same 0 "$(<"$tmp/out")"
under=()
check "--user: the command runs as that user" exits 0 --user nobody -- id -u
check "--user: it did" same "$nobody_is" "$(<"$tmp/out")"
check "--user: there is none of that name" exits 125 --user no-such-user -- id -u
check "--user: that is said" matches "no user no-such-user" "$(<"$tmp/err")"
check "--user and --as-root: misused" exits 2 --user nobody --as-root -- id -u
cp "$(type -P bash)" "$tmp/sudo"
# shellcheck disable=SC2016
under=(env -i PATH="$PATH" THEIRS=theirs HOME=/theirs "$tmp/sudo" -c 'unset THEIRS
	export SUDO_UID=$0 OURS=ours BUFFTRACK_STACK=8 HOME=/root; "$@"; exit' "$nobody_is")
# shellcheck disable=SC2016
check "sudo: with the environment of who called it" exits 0 -- \
	sh -c 'echo $THEIRS $HOME $OURS $BUFFTRACK_STACK'
check "sudo: all of it" same "theirs /theirs ours 8" "$(<"$tmp/out")"
under=()

run --gen-suppressions -- victim double
sed -n '/^{$/,/^}$/p' "$tmp/report" >"$tmp/known"
check "--gen-suppressions: the kind and the stack" matches \
	"double_free.*fun:finalize_old_reference.*fun:collect_garbage" "$(<"$tmp/known")"
printf '{\n not there\n leak\n}\n' >>"$tmp/known"
check "--suppressions: what is known is no bad free" exits 0 --suppressions "$tmp/known" -- victim double
check "--suppressions: nor reported" same 0 "$(grep -c "^SUMMARY:" "$tmp/report")"
check "--suppressions: the used and the unused are told" matches \
	"bad: 0.*suppressed: 1.*1 by <a name for.*unused: not there .known:" "$(<"$tmp/report")"
check "--suppressions: in JSON" exits 0 --json --suppressions "$tmp/known" -- victim double
check "--suppressions: the verdict is counted, and was suppressed" json "$tmp/report" \
	'last | [.double_free, .bad_frees, (.suppressions | map(.used))]' '[1,0,[1,0]]'
check "--suppressions: another verdict is a bad free" exits 3 --unknown --suppressions "$tmp/known" -- \
	victim double unknown
check "--suppressions: a leak, which is no bad free" exits 0 --leak-check=full \
	--suppressions "$tmp/known" -- victim leak
echo nonsense >"$tmp/known"
check "--suppressions: a file that is none" exits 125 --suppressions "$tmp/known" -- victim double

mkfifo "$tmp/hold"
btctl alloc 82 1 0x100 4096 tag=7 wait <"$tmp/hold" >"$tmp/held" &
exec 7>"$tmp/hold"
appears ready "$tmp/held"
list_status()	# OPTION...
{
	bufftrack list "$@" >"$tmp/list"
	echo "$? $(wc -l <"$tmp/list")"
}
check "list --tag --fail-if-any: there is one" same "3 2" "$(list_status --tag 7 --fail-if-any)"
check "list --tag --fail-if-any: there is none" same "0 1" "$(list_status --tag 8 --fail-if-any)"
check "list --tag: no failure by itself" same "0 2" "$(list_status --tag 7)"
run --json -- btctl alloc 82 1 0x100 4096
exec 7>&-
check "what another has begun is no peak of ours" json "$tmp/report" \
	'last | [.allocs, .spaces[0].peak_bytes]' '[1,0]'
meanwhile victim double
check "a signal passes through" same 9 $status
check "another's double free is not ours" json "$tmp/report" 'last | [.allocs, .bad_frees]' '[0,0]'
check "what is typed and printed is the command's" same "a b" \
	"$(echo "a b" | bufftrack run -- victim cat 2>/dev/null)"
# shellcheck disable=SC2016
show='echo "$BUFFTRACK_STACK-$BUFFTRACK_TRAP"'
check "the library is asked for stacks" same 32- "$(bufftrack run -- sh -c "$show" 2>/dev/null)"
check "--trap: and to trap" same 8-1 \
	"$(BUFFTRACK_STACK=8 bufftrack run --trap -- sh -c "$show" 2>/dev/null)"
run --json --trap -- victim double
check "--trap: the command ends there" json "$tmp/report" 'last | [.status, .double_free]' '[133,1]'
if command -v gdb >/dev/null; then
	run --trap -- gdb -q -nx -batch -ex run -ex backtrace --args "$victim" double
	check "--trap: a debugger stops there" matches \
		"SIGTRAP.*finalize_old_reference.*collect_garbage.*main" "$(<"$tmp/out")"
else
	ktap_test_skip "--trap: a debugger stops there: no gdb"
fi
check "no such command is 127" exits 127 -- "$tmp/none"
under=(timeout -k 5 60 taskset -c 0 chrt --batch 0 env --ignore-signal=CHLD)
check "SIGCHLD ignored: it ends as the command does" short_ones
run -- grep SigIgn /proc/self/status
check "SIGCHLD ignored: so it is in the command" same \
	"$("${under[@]}" grep SigIgn /proc/self/status)" "$(<"$tmp/out")"
under=(unshare --pid --fork)
check "another pid namespace: an error" exits 125 -- echo ran
check "another pid namespace: nothing is run" same "" "$(<"$tmp/out")"
check "another pid namespace: says what to do" matches "pid=host" "$(<"$tmp/err")"
export tmp
under=(timeout -k 5 60)
check "unloaded, and loaded again: goes on" exits 3 --json -- bash "$tmp/reload"
check "and has what came after" json "$tmp/report" 'last | [.status, .double_free, .unloaded]' '[5,2,true]'
check "and says so" matches "unloaded.*loaded again" "$(<"$tmp/err")"
check "unloaded by the end: as the command does" exits 4 -- sh -c "bufftrack unload; exit 4"
check "and says so in the summary" matches "unloaded" "$(<"$tmp/report")"
load
check "unloaded by the end, else fine: not seen whole, so it fails" exits 125 -- sh -c "bufftrack unload"
load
check "--allow-loss: as the command does" exits 0 --json --allow-loss -- sh -c "bufftrack unload"
check "--allow-loss: that is still said" json "$tmp/report" 'last | [.unloaded, .complete]' '[true,false]'
load
check "--error-exitcode 0: as the command does" exits 0 -e 0 -- sh -c "bufftrack unload"
load
check "no trace instance is left" same 0 \
	"$(find $tracing/instances -mindepth 1 -maxdepth 1 | wc -l)"
unload
check "not loaded: says how to" matches "bufftrack load.*=125" \
	"$(bufftrack run -- true 2>&1; echo "=$?")"
ktap_finished
