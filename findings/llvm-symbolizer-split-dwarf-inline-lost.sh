#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packages: clang-14, llvm-14 1:14.0.6-12 (Debian 12).
# Behaviour: of one and the same code, built by clang -g -O2 once plain and once with
# -gsplit-dwarf, llvm-symbolizer of the same release tells fewer inlined functions of the split
# one, at some addresses: the innermost is left out, and its caller is shown with the line that
# it has as the caller. The .dwo lies where the program says, and llvm-dwarfdump finds the
# inlined function in it.
# Why it surprises: compiler and symboliser are of one release, nothing is said, and the answer
# is one that could be: who compares with llvm-symbolizer takes the missing frame for the truth.
# Needs: Debian 12 on amd64 with its apt lists read, gcc (to link).
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for package in clang-14 llvm-14 libllvm14 libclang-cpp14 libclang-common-14-dev llvm-14-linker-tools; do
	apt-get -qq download "$package=1:14.0.6-12" 2>/dev/null ||
		{ echo "changed: cannot download $package"; exit 1; }
done
for deb in ./*.deb; do dpkg-deb -x "$deb" root; done
export LD_LIBRARY_PATH=$tmp/root/usr/lib/llvm-14/lib:$tmp/root/usr/lib/x86_64-linux-gnu
bin=$tmp/root/usr/lib/llvm-14/bin
cat >chain.c <<'END'
#include <stdio.h>
#include <stdlib.h>

volatile int seen;

static inline __attribute__((always_inline)) int inmost(int value)
{
	if (value > 3)
		printf("%d\n", value);
	return value + seen;
}

static inline __attribute__((always_inline)) int middle(int value)
{
	return inmost(value) + inmost(value + 1);
}

static __attribute__((noinline)) int apart(int value)
{
	return middle(value) + value;
}

static __attribute__((noinline)) void rarely(int value)
{
	if (value > 100000) {
		puts("rare");
		printf("%d\n", middle(value));
		abort();
	}
	seen += value;
}

int main(int argc, char **argv)
{
	(void)argv;
	rarely(argc);
	return apart(argc) == 0;
}
END
"$bin/clang" -g -O2 -c -o plain.o chain.c
"$bin/clang" -g -O2 -gsplit-dwarf -c -o split.o chain.c
gcc -o plain plain.o
gcc -o split split.o
objdump -d --no-show-raw-insn plain | awk '/^[0-9a-f]+ <(apart|rarely|main)>:/ { on = 1 } /^$/ { on = 0 }
	on && /^ / { print $1 }' | tr -d : >addresses
objdump -d --no-show-raw-insn plain | sed 's/plain//' | sed -n '/<apart>:/,/^$/p' >a
objdump -d --no-show-raw-insn split | sed 's/split//' | sed -n '/<apart>:/,/^$/p' >b
cmp -s a b || { echo "changed: the code is not the same"; exit 1; }
fewer=0
while read -r at; do
	plain=$("$bin/llvm-symbolizer" -f --inlining -e plain "0x$at" | grep -c . || :)
	split=$("$bin/llvm-symbolizer" -f --inlining -e split "0x$at" | grep -c . || :)
	[[ $split -ge $plain ]] || fewer=$((fewer + 1))
done <addresses
inlined=$("$bin/llvm-dwarfdump" --debug-info split.dwo | grep -c DW_TAG_inlined_subroutine || :)
echo "$(wc -l <addresses) addresses, fewer functions of the split one at $fewer; $inlined inlined functions in its .dwo"
[[ $fewer -gt 0 && $inlined -gt 0 ]] || { echo "changed: it tells them all"; exit 1; }
