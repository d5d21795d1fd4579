#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bufftrack diff, of what the other commands print.
set -u

tool=$(readlink -f "${1:?the tool is missing}")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
tests=0 failed=0

check()	# NAME WANTED SEEN
{
	tests=$((tests + 1))
	if [[ $2 == "$3" ]]; then
		echo "ok $tests diff: $1"
	else
		diff <(echo "$2") <(echo "$3") | sed 's/^/# /'
		echo "not ok $tests diff: $1"
		failed=1
	fi
}

# Its status, and its lines with single blanks
differs()	# ARGUMENT...
{
	local status=0
	"$tool" diff "$@" >out 2>err || status=$?
	echo "$status"
	tr -s ' ' <out
}

verdict()	# EVENT PARTY SIZE FRAME
{
	printf '{"event":"%s","size":%d,"%s":{"pid":1,"stack":[%s]}}\n' "$1" "$3" "$2" "$4"
}

free_a='{"symbol":"a::release","file":"/src/a.cpp","line":10,"module":"/lib/a.so","offset":"0x10"}'
free_a_moved=${free_a/10,/99,}
free_b='{"symbol":"b","file":null,"line":null,"module":"/lib/b.so","offset":"0x20"}'
no_symbol='{"symbol":null,"file":null,"line":null,"module":"/lib/c.so","offset":"0x30"}'
{
	echo '{"event":"alloc","size":1}'
	verdict double_free offender 64 "$free_a"
	verdict double_free offender 64 "$free_b"
	verdict stale_free offender 64 "$no_symbol"
	verdict leak allocated 100 "$free_a"
	verdict leak allocated 100 "$free_a"
	echo '{"event":"summary","double_free":2}'
} >good
{
	verdict double_free offender 64 "$free_a_moved"
	verdict double_free offender 64 "$no_symbol"
	verdict stale_free offender 64 "$no_symbol"
	verdict stale_free offender 64 "$no_symbol"
	verdict leak allocated 300 "$free_a"
	verdict double_free offender 64 ""
} >new

check "the same file" "$(printf '0\nsites: 0 new, 0 grew, 0 shrank, 0 gone, 4 the same')" "$(differs good good)"
check "new, grown, fewer and gone" "$(cat <<-END
	3
	new 0 -> 1 double-free c.so+0x30
	new 0 -> 1 double-free no-stack
	grew 1 -> 2 stale-free c.so+0x30
	shrank 2 -> 1 leak a::release a.cpp
	gone 1 -> 0 double-free b
	sites: 2 new, 1 grew, 1 shrank, 1 gone, 1 the same
	END
)" "$(differs good new)"
check "--error-exitcode" 7 "$(differs -e 7 good new | head -n 1)"
head -n 5 good >fewer
check "fewer is no failure" "$(printf '0\nshrank 2 -> 1 leak a::release a.cpp')" \
	"$(differs good fewer | head -n 2)"
check "--json" '["leak a::release a.cpp","shrank",2,1,200,300] [2,1]' "$(differs --json good new | tail -n +2 |
	jq -cs '(map(select(.change == "shrank")) | first | [.site, .change, .before, .after,
		.bytes_before, .bytes_after]), (last | [.new, .grew])' | tr '\n' ' ' | sed 's/ $//')"

cat >text <<-'END'
	==================================================================
	BUFFTRACK: double free of buffer 0x1 (space 1, 64 bytes) on device 4
	SUMMARY: double-free a::release a.cpp:12 device 4 space 1 64
	==================================================================
	BUFFTRACK: 6 more of double free in a::release a.cpp:12 from the same two stacks, 7 in all
	SUMMARY: leak no-stack device wormhole L1 8192
	SUMMARY:
	SUMMARY: double-free
	BUFFTRACK: 6 more
	BUFFTRACK: python (pid 4) exited with 0
	BUFFTRACK: 9 more of double free of buffer 0x2000 (space 1) on device 4, 10 in all
END
check "text: reports, and how many more there were" "$(cat <<-END
	3
	new 0 -> 1 leak no-stack
	grew 1 -> 7 double-free a::release a.cpp
	gone 2 -> 0 leak a::release a.cpp
	gone 1 -> 0 double-free b
	gone 1 -> 0 stale-free c.so+0x30
	sites: 1 new, 1 grew, 0 shrank, 3 gone, 0 the same
	END
)" "$(differs good text)"
printf '{"event":"double_free","offender":[]}\n{"event":3}\n{\n{"event":"leak","allocated":{"stack":3}}\n[]\n' >odd
check "lines that are none of ours" "$(printf '0\nsites: 0 new, 0 grew, 0 shrank, 0 gone, 2 the same')" \
	"$(differs odd odd)"
printf 'PERFILE2' >short
check "a recording that is cut" 1 "$(differs short good | head -n 1)"
check "no such file" 1 "$(differs good no-such | head -n 1)"
check "one file" 2 "$(differs good | head -n 1)"
echo "1..$tests"
exit $failed
