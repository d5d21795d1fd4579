#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The layers, by run: programs of ours that are wrong are told with both places, by file and
# line; of those that are right nothing is told, and as many allocations and frees are seen as
# they make. In the VM: selftests/vm/run selftests/layers/layers.sh [NAME...]
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
programs=${BUFFTRACK_LAYER_PROGRAMS:-$top/build/selftests/layers}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

result()	# ok|FAILED NAME
{
	echo "$1: $2"
	if [[ $1 == ok ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		sed 's/^/    /' "$tmp/report" "$tmp/said"
	fi
}

run()	# OPTION... -- COMMAND...
{
	bufftrack run --json --output "$tmp/report" "$@" >"$tmp/said" 2>&1
	status=$?
}

# The functions and lines of this source in the stack of the first bad verdict's party
at()	# SOURCE PARTY
{
	jq -r --arg source "$1" --arg party "$2" '
		select(.offender and .event != "leak") | .[$party].stack // [] | map(select((.file // "") |
			endswith($source)) | "\(.symbol):\(.line)") | first // "nowhere"' \
		"$tmp/report" | head -n 1
}

# "FUNCTION:LINE" of the mark "at NAME" in the source
mark()	# SOURCE NAME
{
	local line
	line=$(grep -n "/\* at $2 \*/" "$here/$1" | cut -d : -f 1)
	echo "$2:$line"
}

verdicts()
{
	jq -r 'select(.offender and .event != "leak") | .event' "$tmp/report" | sort | uniq -c | awk '{ print $2 "=" $1 }' |
		xargs
}

# A wrong program: which verdict, and the places of the offender and of the party named
wrong()	# RUNTIME NAME VERDICTS OFFENDER PARTY PLACE
{
	run -- "$programs/$1" "$2"
	if [[ $(verdicts) == "$3" && $status -eq 3 ]] &&
		[[ $(at "$1.c" offender) == "$(mark "$1.c" "$4")" ]] &&
		[[ $(at "$1.c" "$5") == "$(mark "$1.c" "$6")" ]]; then
		result ok "$1: $2: $3, at $4 and $6"
	else
		result FAILED "$1: $2: wanted $3 at $(mark "$1.c" "$4") $5 $(mark "$1.c" "$6")," \
			"seen '$(verdicts)' at $(at "$1.c" offender) $(at "$1.c" "$5"), exit $status"
	fi
}

# A right one: nothing bad, nothing leaked, and the counts
right()	# RUNTIME NAME ALLOCS FREES
{
	run --leak-check=full -- "$programs/$1" "$2"
	local counts
	counts=$(jq -r 'select(.event == "summary") | "\(.allocs) \(.frees) \(.leak)"' "$tmp/report")
	if [[ -z $(verdicts) && $status -eq 0 && $counts == "$3 $4 0" ]]; then
		result ok "$1: $2: nothing told, $3 allocs, $4 frees"
	else
		result FAILED "$1: $2: wanted $3 $4 0, seen $counts '$(verdicts)', exit $status"
	fi
}

opencl()
{
	wrong opencl twice double_free=1 drop_again freed drop
	wrong opencl in_child double_free=1 drop_again freed drop
	wrong opencl sub_twice double_free=1 drop_again freed drop
	wrong opencl stale double_free=1 drop_again freed drop
	wrong opencl svm_twice double_free=1 svm_twice allocated svm_made
	wrong opencl mapped held_free=1 drop allocated map
	wrong opencl retain_stale dangling=1 retain_stale freed drop
	right opencl reuse 1000 1000
	right opencl references 2 2
	right opencl family 3 3
	right opencl callback 2 2
	right opencl child_exit 2 2
	right opencl map_unmap 4 4
	right opencl svm 3 3
	right opencl threads 2000 2000
	right opencl sudden 1 1
	right opencl context_first 1 1
}

opencl_protect()
{
	run --protect -- "$programs/opencl" stale
	# What is kept back is the second free of the innocent: the program goes on to its end.
	if [[ $(verdicts) == double_free=1 ]] &&
		[[ $(jq -r 'select(.event == "summary") | .status' "$tmp/report") == 0 ]]; then
		result ok "opencl: --protect: the program goes on"
	else
		result FAILED "opencl: --protect: '$(verdicts)', exit $status"
	fi
}

table()
{
	# A pool of ours, in a library of its own
	cp "$top/userspace/layers/table/tables/example.table" "$tmp/table" || return
	wrong_table twice double_free=1 give_again freed give
	wrong_table refused '' '' '' ''
}

wrong_table()	# NAME VERDICTS OFFENDER PARTY PLACE
{
	run --interpose "$tmp/table" -- "$programs/table" "$1"
	if [[ $(verdicts) == "$2" ]] &&
		{ [[ -z $2 ]] || { [[ $(at table.c offender) == "$(mark table.c "$3")" ]] &&
			[[ $(at table.c "$4") == "$(mark table.c "$5")" ]]; }; }; then
		result ok "table: $1: ${2:-nothing told}"
	else
		result FAILED "table: $1: wanted '$2', seen '$(verdicts)'" \
			"at $(at table.c offender) $(at table.c "$4"), exit $status"
	fi
}

vulkan()
{
	wrong vulkan twice double_free=1 drop_again freed drop
	right vulkan reuse 1000 1000
}

# Where a runtime's layer is not in, that is said.
proof()
{
	OPENCL_LAYERS='' run --runtime opencl -- env -u OPENCL_LAYERS "$programs/opencl" wait
	bufftrack run --runtime opencl -- env -u OPENCL_LAYERS "$programs/opencl" wait >"$tmp/said" 2>&1
	if grep -q 'libOpenCL.so was loaded, but its layer was not' "$tmp/said"; then
		result ok "run: a runtime without its layer is told"
	else
		result FAILED "run: a runtime without its layer"
	fi
}

bufftrack load || exit 1
for name in "${@:-opencl opencl_protect table vulkan proof}"; do
	for part in $name; do
		"$part"
	done
done
echo "layers: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
