#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Loading and unloading
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

# Once: the module comes, is used, and goes with its node.
cycle()
{
	load || return
	btctl alloc 1 1 1 64 alloc 1 1 2 64 free 1 1 1 free 1 1 1 >"$tmp/out" || return
	same "ok ok ok double_free" "$(cut -d ' ' -f 1 "$tmp/out" | xargs)" || return
	unload || return
	[[ ! -e /dev/bufftrack ]] || { echo "the node stays"; return 1; }
}

cycles()	# COUNT
{
	local i
	for ((i = 0; i < $1; i++)); do
		cycle || { echo "in cycle $i"; return 1; }
	done
}

refcount()
{
	awk '$1 == "bufftrack" { print $3 }' /proc/modules
}

# ---- the page of the parameters, bufftrack(4)

page=$here/bufftrack.4
[[ -e $page ]] || page=$here/../userspace/man/bufftrack.4

# Each as "name default"
paged()
{
	sed -nE 's/^\.BR ([a-z_]+) " \(default (.*)\)"$/\1 \2/p' "$page" | sort
}

# What they are when none was given
loaded()
{
	local path
	for path in "$parameters"/*; do
		echo "${path##*/} $(<"$path")"
	done | sort
}

# As modinfo's descriptions have it: counts tell their default at their end, words do not.
described()
{
	local from=$module
	[[ -e $from ]] || from=bufftrack
	PATH=$PATH:/usr/sbin:/sbin modinfo -F parm "$from" |
		sed -E 's/^([a-z_]+):.*\(([0-9]+)\)$/\1 \2/; s/:.*/ words/' | sort
}

takes()	# PARAMETER VALUE...
{
	local was value path=$parameters/$1 status=0
	was=$(<"$path")
	shift
	[[ $# -gt 0 ]] || { echo "no value"; return 1; }
	for value; do
		if ! echo "$value" >"$path" || ! same "$value" "$(<"$path")"; then
			status=1
			break
		fi
	done
	echo "$was" >"$path"
	return $status
}

mapfile -t words < <(sed -n '/^\.BR on_error /,/^\.RE/s/^\.B //p' "$page")
most=$(sed -nE 's/^Counts are from 0 to ([0-9]+),.*/\1/p' "$page")

# unload.c does it more often.
wanted=5

begin 18
check "the page has every parameter and its default" same "$(loaded)" "$(paged)"
check "so has modinfo" same "$(described)" "$(paged | sed -E 's/ [a-z]+$/ words/')"
check "on_error takes the page's words" takes on_error "${words[@]}"
check "and they are modinfo's" same 3 "$(printf '%s\n' "${words[@]}" | grep -cxE "report|sigtrap|panic")"
check "counts go as far as the page says" takes log_limit 0 "$most"
check "and no further" fails takes log_limit $((most + 1))
check "loaded before" test -c /dev/bufftrack
check "no one uses it" same 0 "$(refcount)"

# A client that stays until its input ends
mkfifo "$tmp/stay"
btctl alloc 1 1 1 64 wait <"$tmp/stay" >"$tmp/out" &
exec 7>"$tmp/stay"
while ! grep -q ready "$tmp/out"; do sleep 0.1; done
check "an open client is a user" same 1 "$(refcount)"
check "rmmod is refused" fails rmmod bufftrack
check "and says why" matches "in use" "$(rmmod bufftrack 2>&1)"
check "the module works on" btctl alloc 1 1 2 64 free 1 1 2
exec 7>&-
wait
check "rmmod when it is closed" unload

check "not loaded: no node" test ! -e /dev/bufftrack
check "$wanted times" cycles "$wanted"
check "parameters at load" load_with history=7 max_buffers=9
check "they are as given" same "7 9" "$(cat $parameters/history $parameters/max_buffers | xargs)"
unload
check "a parameter that is no number" fails load_with history=many
load
ktap_finished
