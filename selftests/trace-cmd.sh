#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# trace-cmd records our events, with nothing of ours installed.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v trace-cmd >/dev/null || skip_all "no trace-cmd"
[[ -e $tracing/events/bufftrack ]] || skip_all "no events of bufftrack in tracefs"

double_free()	# BUFFER
{
	trace-cmd record -q -o "$tmp/trace.dat" -e bufftrack "$here/recorded" \
		btctl alloc 0xd3 1 "$1" 64 free 0xd3 1 "$1" free 0xd3 1 "$1" &&
		trace-cmd report -i "$tmp/trace.dat" >"$tmp/report" 2>"$tmp/err"
}

# The buffers had more, when the recording was over, than is in it: what is missing was
# lost on the way to the file, and that is not ours.
lost()
{
	trace-cmd report --stat -i "$tmp/trace.dat" >"$tmp/stat" 2>&1
	[[ $(grep -c ' bufftrack_' "$tmp/report") -lt \
		$(awk '/^(entries|read events): / { had += $NF } END { print had + 0 }' "$tmp/stat") ]]
}

# With what the buffers had, where it fails
or_say_why()	# COMMAND...
{
	"$@" || { cat "$tmp/err" "$tmp/stat"; return 1; }
}

begin 3
check "trace-cmd record -e bufftrack" double_free 0xb1
for again in 0xb2 0xb3; do
	lost || break
	echo "# trace-cmd has lost events: recording once more"
	double_free $again
done
check "the double free" or_say_why matches \
	"bufftrack_double_free: +device=0xd3 space=1 buffer=0xb[123] .*nth=1 .*freed_reason=free" \
	"$(<"$tmp/report")"
check "the alloc and the free" or_say_why same "1 1" \
	"$(grep -c ' bufftrack_alloc: ' "$tmp/report") $(grep -c ' bufftrack_free: ' "$tmp/report")"
ktap_finished
