#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# perf records our events, with nothing of ours installed.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v perf >/dev/null || skip_all "no perf"
[[ -e $tracing/events/bufftrack ]] || skip_all "no events of bufftrack in tracefs"

begin 4
check "perf record -e 'bufftrack:*'" \
	perf record -q -a -o "$tmp/perf.data" -e 'bufftrack:*' -- \
	btctl alloc 0xd2 1 0xb1 64 free 0xd2 1 0xb1 free 0xd2 1 0xb1
perf script -i "$tmp/perf.data" >"$tmp/script" 2>/dev/null
check "the double free" matches \
	"bufftrack:bufftrack_double_free: device=0xd2 space=1 buffer=0xb1 .*nth=1 .*freed_reason=free" \
	"$(<"$tmp/script")"
check "the alloc and the free" same "1 1" \
	"$(grep -c bufftrack:bufftrack_alloc: "$tmp/script") $(grep -c bufftrack:bufftrack_free: "$tmp/script")"
check "the client" same "1 1" \
	"$(grep -c bufftrack:bufftrack_client_open: "$tmp/script") $(
		grep -c bufftrack:bufftrack_client_close: "$tmp/script")"
ktap_finished
