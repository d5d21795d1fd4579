#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Packages: libiberty-dev 20230104-1 (Debian 12).
# Behaviour: libiberty, which Debian has as a static archive only, calls xmalloc() and xrealloc()
# by these names, of a function each in an object file of its own. A program that has functions of
# these names, as many do, links without a word, and its own are called by the D demangler
# (cplus_demangle() with DMGL_DLANG), whatever their arguments are: xrealloc() has
# two of them in libiberty, and three in programs that count elements.
# Why it surprises: a demangler looks like a function of strings, the man page of none of them
# says that it wants the program's memory functions, and C++ and Rust names never call them: it
# is a D name in somebody's library that does.
# Needs: Debian 12 on amd64 with its apt lists read, gcc.
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
apt-get -qq download libiberty-dev=20230104-1 2>/dev/null ||
	{ echo "changed: cannot download libiberty-dev"; exit 1; }
dpkg-deb -x ./*.deb root
cat >p.c <<'END'
#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>

static int calls;

/* The program's own, of the right arguments: with others it would be memory of any size. */
void *xmalloc(size_t size)
{
	calls++;
	return malloc(size);
}

void *xrealloc(void *memory, size_t size)
{
	calls++;
	return realloc(memory, size);
}

static void demangle(const char *what, const char *name, int style)
{
	char *said;

	calls = 0;
	said = cplus_demangle(name, DMGL_PARAMS | style);
	printf("%s: %s, %s\n", what, said ? said : "-", calls ? "by the program's own" : "by none of them");
	free(said);
}

int main(void)
{
	demangle("C++", "_ZN3one3twoEi", DMGL_GNU_V3);
	demangle("Rust", "_RNvC6_123foo3bar", DMGL_RUST);
	demangle("D", "_D8demangle4testFaZv", DMGL_DLANG);
	return 0;
}
END
lib=root/usr/lib/x86_64-linux-gnu/libiberty.a
gcc -Wall -Iroot/usr/include -o p p.c $lib 2>warnings
./p | tee said
[[ ! -s warnings ]] || { echo "changed: the linker says something"; exit 1; }
for line in "^C++: .*none of them" "^Rust: .*none of them" \
	"^D: demangle.test(char), by the program's own"; do
	grep -q "$line" said || { echo "changed: it is otherwise now"; exit 1; }
done
