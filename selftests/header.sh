#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The header compiles alone, in every language that a runtime is written in.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for uapi in "$here/../../../uapi" "$here/../../../../usr/include"; do
	[[ ! -e $uapi/linux/bufftrack.h ]] || break
done
[[ -e $uapi/linux/bufftrack.h ]] || skip_all "the header is not here"
command -v gcc >/dev/null || skip_all "no compiler"
# By itself: what it includes is the system's, as for the header's users.
mkdir -p "$tmp/uapi/linux"
cp "$uapi"/linux/bufftrack*.h "$tmp/uapi/linux/"
uapi=$tmp/uapi

# Every macro, so that each is one that compiles
uses=$(sed -n 's/^#define[[:space:]]\+\(BUFFTRACK_[A-Z0-9_]*\)[[:space:]].*/\1/p' \
	"$uapi/linux/bufftrack.h")
{
	echo '#include <linux/bufftrack.h>'
	for name in $uses; do
		echo "unsigned long long use_$name(void);"
		echo "unsigned long long use_$name(void) { return (unsigned long long)$name; }"
	done
	echo 'struct bufftrack_op op; enum bufftrack_verdict verdict;'
} >"$tmp/uses.c"
echo '#include <linux/bufftrack.h>' >"$tmp/alone.c"
cp "$tmp/uses.c" "$tmp/uses.cc"
cp "$tmp/alone.c" "$tmp/alone.cc"
warnings=(-Wall -Wextra -Werror -pedantic -Wno-long-long -fsyntax-only "-I$uapi")

begin 10
check "it has macros" between 40 "$(wc -w <<<"$uses")" 1000
check "C90, alone" gcc -std=c90 "${warnings[@]}" "$tmp/alone.c"
check "C90, all macros" gcc -std=c90 "${warnings[@]}" "$tmp/uses.c"
check "C90, twice" gcc -std=c90 "${warnings[@]}" -include "$uapi/linux/bufftrack.h" "$tmp/alone.c"
check "C11" gcc -std=c11 "${warnings[@]}" "$tmp/uses.c"
for what in "g++ -std=c++98" "g++ -std=c++20"; do
	# shellcheck disable=SC2086
	if command -v g++ >/dev/null; then
		check "$what" $what "${warnings[@]}" "$tmp/uses.cc"
	else
		ktap_test_skip "$what: no g++"
	fi
done
for what in "-std=c90" "-std=c11"; do
	if command -v clang >/dev/null; then
		check "clang $what" clang "$what" "${warnings[@]}" "$tmp/uses.c"
	else
		ktap_test_skip "clang $what: no clang"
	fi
done
if gcc -m32 -fsyntax-only -include linux/types.h -x c /dev/null 2>/dev/null; then
	check "32 bits" gcc -m32 -std=c90 "${warnings[@]}" "$tmp/uses.c"
else
	ktap_test_skip "32 bits: no headers for it"
fi
ktap_finished
