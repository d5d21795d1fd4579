#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The fuzzer: its corpus, and as many new programs, with a new seed each time, which
# is printed. On the debug kernel KCOV guides it.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

executions=${BUFFTRACK_FUZZ:-3000}
seed=${SEED:-$RANDOM$RANDOM}
guided=${BUFFTRACK_HAS_ALL:-}
kcov=${BUFFTRACK_MODULE_DIR:-}/kcov/$(uname -r)/bufftrack.ko

# As check(), and says how far it came.
told()	# NAME COMMAND...
{
	check "$@"
	sed 's/^/# /' "$tmp/said"
}

replay()
{
	fuzzer --replay "$tmp"/corpus/*
}

# Each call's answer, of the programs in which no two tasks race. Whether a stack of which the
# last life is over is still there depends on when a worker comes to it.
answers()	# FILE
{
	local alone
	mapfile -t alone < <(grep -LE '^(threads|fork) ' "$tmp"/corpus/*)
	fuzzer --replay --verbose "${alone[@]}" 2>"$1" &&
		sed -i -E 's/^( *stack\(.*\): )(0|No such file or directory)$/\1there or gone/' "$1"
}

same_again()
{
	answers "$tmp/first" && answers "$tmp/again" && grep -q ': 0$' "$tmp/first" &&
		diff "$tmp/first" "$tmp/again"
}

begin 4
if [[ -e /sys/kernel/debug/kcov && -e $kcov ]]; then
	rmmod bufftrack
	insmod "$kcov"
	guided=1
fi
mkdir "$tmp/corpus"
for corpus in "$here/corpus" "$here/fuzz/corpus"; do
	[[ ! -d $corpus ]] || cp "$corpus"/* "$tmp/corpus/"
done
told "the corpus" replay
check "it is answered the same again" same_again
told "new programs" fuzzer --seed "$seed" --executions "$executions" --corpus "$tmp/corpus"
if [[ $guided ]]; then
	mv "$tmp/said" "$tmp/fuzzed"
	check "guided by KCOV: it has met edges" grep -q "edges [1-9]" "$tmp/fuzzed"
else
	ktap_test_skip "guided by KCOV: this kernel has none"
fi
ktap_finished
