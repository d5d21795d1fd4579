#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# status --prometheus: each metric once with its HELP and TYPE, its values those of the calls,
# and the label of a device.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack python3; do
	command -v $program >/dev/null || skip_all "no $program"
done

metrics()
{
	bufftrack status --prometheus >"$tmp/metrics"
}

value()	# SERIES WANTED
{
	same "$2" "$(awk -v series="$1" '{ at = length($0) - length($NF)
		if (substr($0, 1, at - 1) == series) print $NF }' "$tmp/metrics")"
}

# The format, line by line: nothing twice, samples beside their HELP and TYPE, units and
# suffixes by the conventions.
format()
{
	python3 - "$tmp/metrics" <<-'END'
	import re, sys
	typed, helped, seen, last = {}, set(), set(), None
	text = open(sys.argv[1], encoding="utf-8").read()
	assert text.endswith("\n")
	label = r'[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
	for line in text.splitlines():
	    if found := re.fullmatch(r"# HELP (bufftrack_[a-z_]+) (\S.*\.)", line):
	        assert found[1] not in helped, line
	        helped.add(found[1])
	        last = found[1]
	    elif found := re.fullmatch(r"# TYPE (bufftrack_[a-z_]+) (counter|gauge)", line):
	        assert found[1] == last and last not in typed, line
	        typed[last] = found[2]
	        assert (found[2] == "counter") == last.endswith("_total"), line
	    else:
	        found = re.fullmatch(rf"(bufftrack_[a-z_]+)(?:\{{({label}(?:,{label})*)\}})? (\d+)", line)
	        assert found, line
	        assert found[1] == last and last in typed, line
	        assert (found[1], found[2]) not in seen, line
	        seen.add((found[1], found[2]))
	assert typed and set(typed) == helped
	END
}

begin 21
mkfifo "$tmp/stay"
check "before" metrics
check "before: the format" format
before=$(awk '$1 == "bufftrack_certain_bad_frees_total" { print $2 }' "$tmp/metrics")
btctl alloc 0xa0 1 0x1000 4096 label 0xa0 board_1 alloc 0xa0 1 0x2000 100 free 0xa0 1 0x2000 \
	free 0xa0 1 0x2000 alloc 0xa0 2 0x1000 50 wait <"$tmp/stay" >"$tmp/said" 2>&1 7>&- &
holder=$!
exec 7>"$tmp/stay"
for ((i = 0; i < 600; i++)); do
	if grep -q ready "$tmp/said" || ! kill -0 $holder 2>/dev/null; then
		break
	fi
	sleep 0.1
done
check "the metrics" metrics
check "their format" format
check "it is loaded" value bufftrack_loaded 1
check "its client" value bufftrack_clients 1
check "live bytes" value 'bufftrack_live_bytes{device="0xa0",space="1"}' 4096
check "the other space's" value 'bufftrack_live_bytes{device="0xa0",space="2"}' 50
check "live buffers" value 'bufftrack_live_buffers{device="0xa0",space="1"}' 1
check "their peak" value 'bufftrack_peak_bytes{device="0xa0",space="1"}' 4196
check "allocs" value 'bufftrack_allocs_total{device="0xa0",space="1"}' 2
check "frees" value 'bufftrack_frees_total{device="0xa0",space="1"}' 1
check "double frees" value 'bufftrack_verdicts_total{verdict="double_free"}' 1
check "which one is certain" value bufftrack_certain_bad_frees_total $((before + 1))
check "its label" value 'bufftrack_device_info{device="0xa0",label="board_1"}' 1
check "refused allocs" value bufftrack_refused_allocs_total 0
check "not two formats at once" fails bufftrack status --json --prometheus
exec 7>&-
wait $holder
check "its client is gone" metrics
check "and its verdict stays" value 'bufftrack_verdicts_total{verdict="double_free"}' 1
unload
check "not loaded" metrics
check "which is all that is said" same 3 "$(wc -l <"$tmp/metrics")"
load
ktap_finished
