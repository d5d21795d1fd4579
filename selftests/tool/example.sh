#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The C++ example's bad free, by its three stacks: as it happens, when the process
# is gone, from a stripped program with its debug file apart, on a server too, and
# without one. What is wanted stands in the example's source: "// at FUNCTION, WHICH".
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v bufftrack >/dev/null || skip_all "the tool is not on PATH"
command -v objcopy >/dev/null || skip_all "no objcopy"
command -v busybox >/dev/null || skip_all "no busybox"

example=$here/buffer
source=$here/buffer.cpp
build_id=$(readelf -n "$example" | awk '/Build ID/ { print $3 }')
by_id=/usr/lib/debug/.build-id/${build_id:0:2}
[[ ! -e $by_id/${build_id:2}.debug ]] || skip_all "$by_id has its debug file"
server=
trap 'leave
	rm -rf "$by_id/${build_id:2}.debug"; rmdir "$by_id" 2>/dev/null' EXIT
unset DEBUGINFOD_URLS BUFFTRACK_STACK BUFFTRACK_TRAP
export DEBUGINFOD_CACHE_PATH=$tmp/cache
# As it is run by itself
stack=(env BUFFTRACK_STACK=32)

# "FUNCTION:LINE..." of those marks of the source, innermost first
at()	# MARK...
{
	local mark line text=
	for mark; do
		line=$(awk -v mark="// at $mark" \
			'index($0, mark) && substr($0, index($0, mark)) == mark { print NR }' "$source")
		text+="${text:+ }${mark%%,*}:$line"
	done
	echo "$text"
}

offender=$(at mark_as_deallocated deallocate '~Buffer' drop_cache "run_model, the bad free" \
	"main, its run")
freed=$(at mark_as_deallocated deallocate unload_layer "load_model, the first free" \
	"main, the model")
allocated=$(at allocate Buffer load_layer "load_model, the allocation" "main, the model")
next_allocated=$(at allocate Buffer load_layer "run_model, the next owner" "main, its run")
next_freed=$(at mark_as_deallocated deallocate '~Buffer')

# The example's own frames of a stack, from JSON: those of the C++ library are not its own
own()	# STACK, in jq
{
	jq -r "select(.buffer == \"0x296ccc80\") | [$1.stack[] |
		select(.file // \"\" | endswith(\"/examples/buffer.cpp\")) |
		select(.symbol | startswith(\"std::\") | not) |
		\"\(.symbol | sub(\"^runtime::(Buffer::)?\"; \"\")):\(.line)\"] | join(\" \")"
}

# The same from a text: the stack under the line that begins with LABEL
own_text()	# LABEL
{
	awk -v label="$1" '
		/^[^ ]/ || /^  [^ ]/ { on = 0 }
		index($0, label) == 1 || index($0, "  " label) == 1 { on = 1 }
		on && /^    #[0-9]+ / && $2 !~ /^std::/ && $3 ~ /^buffer\.cpp:[0-9]+$/ {
			sub(/^runtime::(Buffer::)?/, "", $2)
			text = text (text ? " " : "") $2 ":" substr($3, index($3, ":") + 1)
		}
		END { print text }'
}

# One report of the three stacks, in JSON
report_json()	# FILE
{
	same '["stale_free",true,"wormhole","L1"]' "$(jq -c 'select(.event != "summary") |
		[.event, .certain, .device_label, .space_label]' "$1")" &&
		same "$offender" "$(own .offender <"$1")" && same "$freed" "$(own .freed <"$1")" &&
		same "$allocated" "$(own .allocated <"$1")" && return
	cat "$1"
	return 1
}

# The same as text
report_text()	# FILE
{
	same "stale free of buffer 0x296ccc80 (L1, 8192 bytes) on device wormhole" \
		"$(sed -n 's/^BUFFTRACK: \(.* of buffer .*\)/\1/p' "$1")" &&
		same "$offender" "$(own_text "offending free" <"$1")" &&
		same "$freed" "$(own_text "freed before" <"$1")" &&
		same "$allocated" "$(own_text "allocated by" <"$1")" &&
		same "SUMMARY: stale-free runtime::Buffer::mark_as_deallocated buffer.cpp:$(
			at mark_as_deallocated | cut -d : -f 2) device wormhole L1 8192" \
			"$(grep ^SUMMARY: "$1")" && return
	cat "$1"
	return 1
}

# Watches are halted before the program runs, and go on when it is gone
watch_after()	# PROGRAM json|text...
{
	local program=$1 form options=() watchers=() i
	shift
	: >"$tmp/err"
	for form; do
		options=(--timeout 60 --count 1)
		[[ $form == text ]] || options+=(--json)
		bufftrack watch "${options[@]}" >"$tmp/$form" 2>>"$tmp/err" &
		watchers+=($!)
	done
	for ((i = 0; i < 600; i++)); do
		[[ $(grep -c watching "$tmp/err") -lt $# ]] || break
		sleep 0.1
	done
	kill -STOP "${watchers[@]}"
	"${stack[@]}" "$program" >"$tmp/said"
	kill -CONT "${watchers[@]}"
	wait "${watchers[@]}" || { cat "$tmp/err"; return 1; }
}

# Of each stack's innermost frame, in JSON
innermost()	# EXPRESSION
{
	jq -c "[.offender, .freed, .allocated | .stack[0] | $1]" "$tmp/json"
}

three()	# VALUE
{
	echo "[$1,$1,$1]"
}

# A debuginfod, as far as a tool needs one: it has the files under $tmp/web, and
# says in $tmp/asked what it was asked for
serve()	# PORT
{
	local i
	busybox httpd -f -vv -p "127.0.0.1:$1" -h "$tmp/web" 2>>"$tmp/asked" &
	server=$!
	for ((i = 0; i < 100; i++)); do
		! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null || break
		sleep 0.1
	done
	kill -0 $server && : >"$tmp/asked"
}

strip_into()	# DIRECTORY: the program, and its debug file beside it
{
	mkdir -p "$1"
	objcopy --only-keep-debug "$example" "$1/buffer.debug" &&
		objcopy --strip-all "$example" "$1/buffer" &&
		(cd "$1" && objcopy --add-gnu-debuglink=buffer.debug buffer)
}

begin 26
bufftrack run --json --output "$tmp/json" -- "$example" >"$tmp/said"
check "run finds it" same 3 $?
check "run, JSON: one report, three stacks" report_json "$tmp/json"
bufftrack run --output "$tmp/text" -- "$example" >"$tmp/said"
check "run, text: one report, three stacks" report_text "$tmp/text"

watch_after "$example" json text
check "when it is gone, JSON" report_json "$tmp/json"
check "when it is gone, text" report_text "$tmp/text"
bufftrack list --all --json --device 4 >"$tmp/list"
check "list: that it is gone is said" same '[true,true]' \
	"$(jq -c '[.allocated, .ended | .exited]' "$tmp/list")"
check "when it is gone, list: where it was allocated" same "$next_allocated" \
	"$(own .allocated <"$tmp/list")"
check "and where it ended" matches "^$next_freed " "$(own .ended <"$tmp/list") "
bufftrack list --all --stacks --device 4 >"$tmp/list"
check "list --stacks: the same" same "$next_allocated" "$(own_text "allocated by" <"$tmp/list")"
check "list --stacks: where it ended" matches "^$next_freed " \
	"$(own_text "freed by" <"$tmp/list") "
check "list --stacks: 80 columns" same "" "$(awk 'length > 80' "$tmp/list")"

check "a stripped program" strip_into "$tmp/apart"
watch_after "$tmp/apart/buffer" json text
check "its debug file beside it, JSON" report_json "$tmp/json"
check "its debug file beside it, text" report_text "$tmp/text"
mkdir -p "$by_id" && mv "$tmp/apart/buffer.debug" "$by_id/${build_id:2}.debug"
watch_after "$tmp/apart/buffer" json
check "its debug file in /usr/lib/debug/.build-id" report_json "$tmp/json"
mkdir -p "$tmp/web/buildid/$build_id"
mv "$by_id/${build_id:2}.debug" "$tmp/web/buildid/$build_id/debuginfo"
check "a server that has it" serve 8002
watch_after "$tmp/apart/buffer" json text
check "no debug file: module and build id" same \
	"$(three "[\"$tmp/apart/buffer\",\"$build_id\",null,null]")" \
	"$(innermost '[.module, .build_id, .symbol, .line]')"
# The offset is that of the call in the program that was not stripped.
offset=$(jq -r '.offender.stack[0].offset' "$tmp/json")
check "no debug file: the offset" matches "mark_as_deallocated.*buffer\.cpp:$(
	at mark_as_deallocated | cut -d : -f 2)" \
	"$(addr2line -Cfe "$example" "$(printf %x $((offset - 1)))" | tr '\n' ' ')"
check "no debug file: and why" same "$(three '"stripped, and no debug file was found"')" \
	"$(innermost .unresolved)"
check "no debug file, text: all of that" matches \
	"    #0 buffer\+$offset"$'\n'" +\(stripped, and no debug file was found; build id"$'\n? +'"$build_id\)" \
	"$(<"$tmp/text")"
check "the server was not asked: nobody said so" same "" "$(<"$tmp/asked")"
if ldconfig -p | grep -q 'libdebuginfod\.so\.1 '; then
	DEBUGINFOD_URLS=http://127.0.0.1:8002/ watch_after "$tmp/apart/buffer" json
	check "DEBUGINFOD_URLS: its debug file from there" report_json "$tmp/json"
	check "DEBUGINFOD_URLS: it was asked" matches "buildid/$build_id/debuginfo" "$(<"$tmp/asked")"
else
	ktap_test_skip "DEBUGINFOD_URLS: its debug file from there: no libdebuginfod"
	ktap_test_skip "DEBUGINFOD_URLS: it was asked: no libdebuginfod"
fi

# A server that takes 8 seconds for each answer; its port stands in $tmp/port.
cat >"$tmp/slow.py" <<-'END'
	import http.server, os, sys, time

	class Slow(http.server.SimpleHTTPRequestHandler):
	    def do_GET(self):
	        time.sleep(8)
	        super().do_GET()

	os.chdir(sys.argv[1] + "/web")
	server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
	with open(sys.argv[1] + "/port.new", "w") as port:
	    print(server.server_port, file=port)
	os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
	server.serve_forever()
END

# While the first report waits for its symbols, many times as many events as the rings hold
while_waiting()
{
	local i slow watcher status=0
	rm -rf "$DEBUGINFOD_CACHE_PATH"
	python3 "$tmp/slow.py" "$tmp" 2>/dev/null &
	slow=$!
	for ((i = 0; i < 600 && ! $(wc -c <"$tmp/port" 2>/dev/null || echo 0); i++)); do
		sleep 0.1
	done
	: >"$tmp/err"
	DEBUGINFOD_URLS=http://127.0.0.1:$(<"$tmp/port")/ bufftrack watch --json \
		>"$tmp/json" 2>"$tmp/err" &
	watcher=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q watching "$tmp/err" || break
		sleep 0.1
	done
	"${stack[@]}" "$tmp/apart/buffer" >"$tmp/said"
	sleep 2
	# Nothing is told yet: the symbols are waited for.
	[[ ! -s $tmp/json ]] || { echo "told before the server answered"; status=1; }
	for ((i = 0; i < 20; i++)); do
		btctl burst 1 1000 || status=1
		sleep 0.1
	done
	sleep 10
	kill -INT $watcher
	wait $watcher || status=1
	kill $slow
	return $status
}
check "a server that takes its time" while_waiting
check "20,000 events meanwhile: each is told" same 20000 \
	"$(grep -c '^{"event":"double_free",' "$tmp/json")"
check "none is lost" same 0 "$(tail -n 1 "$tmp/json" | jq .lost)"
ktap_finished
