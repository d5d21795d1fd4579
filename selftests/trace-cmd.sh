#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# trace-cmd records our events, with nothing of ours installed.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v trace-cmd >/dev/null || skip_all "no trace-cmd"
[[ -e $tracing/events/bufftrack ]] || skip_all "no events of bufftrack in tracefs"

begin 3
check "trace-cmd record -e bufftrack" \
	trace-cmd record -q -o "$tmp/trace.dat" -e bufftrack "$here/recorded" \
	btctl alloc 0xd3 1 0xb1 64 free 0xd3 1 0xb1 free 0xd3 1 0xb1
trace-cmd report -i "$tmp/trace.dat" >"$tmp/report" 2>"$tmp/err"

# With what the kernel's buffers had, where it fails
recorded()	# COMMAND...
{
	"$@" || { cat "$tmp/err"; trace-cmd report --stat -i "$tmp/trace.dat"; return 1; }
}
check "the double free" recorded matches \
	"bufftrack_double_free: +device=0xd3 space=1 buffer=0xb1 .*nth=1 .*freed_reason=free" \
	"$(<"$tmp/report")"
check "the alloc and the free" recorded same "1 1" \
	"$(grep -c ' bufftrack_alloc: ' "$tmp/report") $(grep -c ' bufftrack_free: ' "$tmp/report")"
ktap_finished
