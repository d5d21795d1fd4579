#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is said of the commands in four places is the same: the options that a command
# takes, its --help, its man page, and the completion.
set -u

tool=$(readlink -f "${1:?the tool is missing}")
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
tests=0 failed=0

check()	# NAME WANTED SEEN
{
	tests=$((tests + 1))
	if [[ $2 == "$3" ]]; then
		echo "ok $tests words: $1"
	else
		diff <(echo "$2") <(echo "$3") | sed 's/^/# /'
		echo "not ok $tests words: $1"
		failed=1
	fi
}

# Options as "-x --long", with " =" behind those that take a value
valued()
{
	sed 's/ [A-Z]*$/ =/' | sort
}

# The files of a command: its own, or those of its folder
sources()	# COMMAND
{
	find cmd -name "$1.c" -o -path "cmd/$1/*.c"
}

# Each command takes --help, which its table need not say.
taken()	# COMMAND
{
	local files
	mapfile -t files < <(sources "$1")
	{
		echo "-h --help"
		sed -nE "s/^\t+OPTION_([A-Z]+)\('(.)', \"([a-z-]+)\".*/-\2 --\3 \1/p
			s/^\t+OPTION_([A-Z]+)\(0, \"([a-z-]+)\".*/--\2 \1/p" "${files[@]}"
	} | sed 's/ FLAG$//' | valued
}

helped()	# COMMAND
{
	"$tool" "$1" --help | sed -nE 's/^  (-., |    )(--[a-z-]+( [A-Z]+)?)(,\.\.\.)?(  .*|$)/\1\2/p' |
		sed 's/,//; s/^ *//' | valued
}

paged()	# COMMAND
{
	sed 's/\\f[BIR]//g; s/\\-/-/g; s/\[,.*\]$//' "man/bufftrack-$1.1" |
		sed -nE 's/^(-.), (--[a-z-]+( [A-Z]+)?)$/\1 \2/p; s/^(--[a-z-]+( [A-Z]+)?)$/\1/p' |
		valued
}

# bash-completion tells what is typed: here it is what offered() was given.
typed=()
# shellcheck disable=SC2034,SC2317 # the completion calls it
_init_completion()
{
	words=("${typed[@]}")
	cword=$((${#words[@]} - 1))
	cur=${words[cword]}
	prev=${words[cword - 1]}
}
complete() { :; }
# shellcheck source=/dev/null
. ../packaging/completions/bufftrack

# What completes the last word
offered()	# WORD...
{
	local COMPREPLY=()
	typed=("$@")
	_bufftrack
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# The keys that --help says a list can be sorted by
keys()	# COMMAND
{
	"$tool" "$1" --help | awk '/^  -s, --sort KEY/ { on = 1; sub(/.*KEY/, "") }
		/^  -[^s],|^$/ { on = 0 } on' | sed 's/([^)]*)//g' | tr -s ' \n' ' ' |
		sed 's/([^)]*)//g; s/;/,/; s/keeps.*//; s/ or /, /; s/by //' | tr ',' '\n' |
		tr -d ' ' | grep . | sort
}

# Lines of a page's or a help's examples, without what only troff needs
examples_of_page()	# COMMAND
{
	awk '/^\.SH EXAMPLES?/ { on = 1; next } /^\.SH/ { on = 0 } on && !/^\./' \
		"man/bufftrack-$1.1" | sed 's/\\-/-/g; s/\\(aq/'\''/g' | sort
}

examples_of_help()	# COMMAND
{
	"$tool" "$1" --help | sed -n '/^Examples\?:/,$s/^  //p' | sort
}

mapfile -t commands < <("$tool" --help |
	awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on && $1 != "help" { print $1 }')
check "the completion has every command" \
	"$(printf '%s\n' "${commands[@]}" help --help --version | sort)" "$(offered bufftrack "")"
check "the page of all has every command" "$(printf '%s\n' "${commands[@]}" | sort)" "$(
	sed -n '/^\.SH COMMANDS/,/^\.SH OPTIONS/p' man/bufftrack.1 |
		sed -nE 's/\\f[BR]//g; s/^\.B ([a-z]+)$/\1/p; s/^([a-z]+), ([a-z]+)$/\1\n\2/p' | sort)"
check "and refers to each page" \
	"$(printf '%s\n' "${commands[@]}" | sort)" "$(
		sed -n '/^\.SH SEE ALSO/,$p' man/bufftrack.1 |
			sed -nE 's/.*bufftrack(-|\\-)([a-z]+) \(1\).*/\2/p' | sort -u)"
for command in "${commands[@]}"; do
	check "$command: --help has what it takes" "$(taken "$command")" "$(helped "$command")"
	check "$command: so does its page" "$(taken "$command")" "$(paged "$command")"
	check "$command: so does the completion" "$(taken "$command" | grep -oE -- '--[a-z-]+' | sort)" \
		"$(offered bufftrack "$command" --)"
	check "$command: --help has at most 80 columns" "" \
		"$("$tool" "$command" --help | awk 'length > 80')"
	check "$command: --help has examples, all of them on its page" "$(examples_of_help "$command")" \
		"$(comm -12 <(examples_of_help "$command") <(examples_of_page "$command"))"
	check "$command: it has an example" true "$([[ $(examples_of_help "$command") ]] && echo true)"
	[[ $(taken "$command") != *--sort* ]] ||
		check "$command: the keys to sort by" "$(keys "$command")" \
			"$(offered bufftrack "$command" --sort "")"
done
check "--help has at most 80 columns" "" "$("$tool" --help | awk 'length > 80')"
echo "1..$tests"
exit $failed
