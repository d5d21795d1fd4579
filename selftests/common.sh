# SPDX-License-Identifier: GPL-2.0
# What the shell tests have in common. The module is loaded when they begin.
# shellcheck shell=bash disable=SC2034,SC2119,SC2120
set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=/dev/null
. "$here/../kselftest/ktap_helpers.sh"
PATH=$here:$PATH
tmp=$(mktemp -d)
# What still runs in the background would keep the module in use.
leave()
{
	local pid i
	for ((i = 0; i < 50; i++)); do
		for pid in $(jobs -rp; jobs -sp); do
			[[ $i -ne 0 ]] || kill -TERM -- "$pid" "-$pid"
			[[ $i -ne 49 ]] || kill -KILL -- "$pid" "-$pid"
		done 2>/dev/null
		[[ $(jobs -rp; jobs -sp) ]] || break
		sleep 0.1
	done
	rm -rf "$tmp"
}
trap leave EXIT
# So ends what takes longer than kselftest allows.
trap 'exit 143' TERM
tracing=/sys/kernel/tracing
parameters=/sys/module/bufftrack/parameters

# One test: passes where the command does; else shows what it said. It is done in
# this shell, so that it can start what later ones wait for.
check()	# NAME COMMAND...
{
	local name=$1 begun=$SECONDS
	shift
	if "$@" >"$tmp/said" 2>&1; then
		ktap_test_pass "$name"
		[[ $((SECONDS - begun)) -lt 5 ]] || echo "# $name: $((SECONDS - begun)) s"
	else
		echo "# $* failed:"
		sed 's/^/#   /' "$tmp/said"
		ktap_test_fail "$name"
	fi
}

same()	# WANTED SEEN
{
	[[ $1 == "$2" ]] || { echo "wanted '$1', seen '$2'"; return 1; }
}

between()	# LEAST SEEN MOST
{
	[[ $1 -le $2 && $2 -le $3 ]] || { echo "$2 is not in $1..$3"; return 1; }
}

matches()	# REGULAR-EXPRESSION TEXT
{
	[[ $2 =~ $1 ]] || { echo "no '$1' in '$2'"; return 1; }
}

fails()	# COMMAND...
{
	! "$@"
}

skip_all()	# REASON
{
	ktap_print_header
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

begin()	# HOW-MANY-TESTS
{
	ktap_print_header
	ktap_set_plan "$1"
}

module=${BUFFTRACK_MODULE_DIR:-}/$(uname -r)/bufftrack.ko

load_with()	# NAME=VALUE...
{
	if [[ -e $module ]]; then
		insmod "$module" "$@"
	else
		modprobe bufftrack "$@"
	fi
}

load()
{
	load_with
}

unload()
{
	rmmod bufftrack
}

# Begins to watch, in the background: $watcher. Descriptor 7 is for other ends.
watch_into()	# FILE OPTION...
{
	local out=$1 i
	shift
	: >"$tmp/watch.err"
	bufftrack watch --json "$@" >"$out" 2>"$tmp/watch.err" 7>&- &
	watcher=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q watching "$tmp/watch.err" || return 0
		sleep 0.1
	done
	cat "$tmp/watch.err"
	return 1
}

# The kernel's log since the latest mark
mark()
{
	marker="bufftrack-mark $$ $RANDOM$RANDOM"
	echo "$marker" >/dev/kmsg
}

log()
{
	dmesg -r | awk -v marker="$marker" 'index($0, marker) { on = 1; next }
		on && sub(/^<[0-9]+>\[[^]]*\] bufftrack: /, "bufftrack: ")'
}
