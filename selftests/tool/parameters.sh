#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module's parameters are those of their page, bufftrack(4), and of modinfo.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

page=$here/bufftrack.4
[[ -e $page ]] || page=$here/../../userspace/man/bufftrack.4

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

begin 6
check "the page has every parameter and its default" same "$(loaded)" "$(paged)"
check "so has modinfo" same "$(described)" "$(paged | sed -E 's/ [a-z]+$/ words/')"
check "on_error takes the page's words" takes on_error "${words[@]}"
check "and they are modinfo's" same 3 "$(printf '%s\n' "${words[@]}" | grep -cxE "report|sigtrap|panic")"
check "counts go as far as the page says" takes log_limit 0 "$most"
check "and no further" fails takes log_limit $((most + 1))
ktap_finished
