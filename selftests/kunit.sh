#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The KUnit suites of the module: each of their cases is a result here.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

shopt -s extglob

suites=(device table history stack)
kunit=/sys/kernel/debug/kunit
with_tests=${BUFFTRACK_MODULE_DIR:-}/kunit/$(uname -r)/bufftrack.ko

[[ -d $kunit ]] || skip_all "this kernel has no KUnit with results in debugfs"

# Cases that a suite announces
planned()	# SUITE
{
	awk '/^    1\.\./ { sub(/^    1\.\./, ""); print; exit }' "$tmp/$1"
}

# A suite's results as KTAP has them, each after the lines that tell of it
report()	# SUITE
{
	local suite=$1 line said=() name
	while IFS= read -r line; do
		name=${line#*ok +([0-9]) }
		name=${name%% #*}
		case $line in
		"    ok "*"# SKIP"*) ktap_test_skip "$suite: $name" ;;
		"    ok "*) ktap_test_pass "$suite: $name" ;;
		"    not ok "*)
			printf '# %s\n' "${said[@]}"
			ktap_test_fail "$suite: $name"
			;;
		*) said+=("$line"); continue ;;
		esac
		said=()
	done <"$tmp/$suite"
}
unload
insmod "$with_tests" >"$tmp/said" 2>&1
loaded=$?
count=0
for suite in "${suites[@]}"; do
	cat "$kunit/bufftrack-$suite/results" >"$tmp/$suite" 2>/dev/null
	count=$((count + $(grep -cE '^    (not )?ok ' "$tmp/$suite")))
done

begin $((1 + ${#suites[@]} + count + 1))
check "the module with the suites is loaded: $(xargs <"$tmp/said")" test $loaded -eq 0
for suite in "${suites[@]}"; do
	check "$suite: all cases have run" \
		same "$(planned "$suite")" "$(grep -cE '^    (not )?ok ' "$tmp/$suite")"
	report "$suite"
done
check "it can be unloaded" unload
load
ktap_finished
