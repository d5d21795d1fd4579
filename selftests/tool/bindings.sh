#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The library by other ways than linking with it from C: C++, dlopen, Python.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

command -v g++ >/dev/null || skip_all "no g++"
command -v python3 >/dev/null || skip_all "no python3"
python3 -c 'import ctypes' 2>/dev/null || skip_all "no ctypes in python3"
# As it is installed, but for the place
export LD_LIBRARY_PATH=$here/bindings PYTHONPATH=$here/bindings
include=(-I "$here/bindings")

cpp()
{
	cat >"$tmp/raii.cpp" <<-\END
	#include <bufftrack.hpp>
	#include <cstdio>
	#include <utility>

	static bt::Buffer passed_on(bt::Buffer buffer) noexcept { return buffer; }

	int main()
	{
		static_assert(noexcept(bt::Client("x")), "");
		static_assert(noexcept(std::declval<bt::Buffer &>().free()), "");
		bt::Client client("raii");
		if (!client)
			return 1;
		{
			bt::Buffer buffer(client, 77, 0x1000, 64);
			bt::Buffer moved = passed_on(std::move(buffer));
			bt::Buffer more = moved.retain();
			if (!more.held() || more.answer().refs() != 2 || buffer.held())
				return 2;
		}
		/* Both were freed, once each: the address is free for an exclusive one. */
		bt::Buffer again(client, 77, 0x1000, 64);
		if (!again.answer().ok())
			return 3;
		bt::Answer answer = again.free();
		bt::Answer twice = again.free();
		if (twice.verdict() != BUFFTRACK_DOUBLE_FREE || !twice.certain())
			return 4;
		bt::Buffer taken(client, 77, 0x3000, 64);
		answer = taken.free();
		if (!answer.ok() || taken.undo(answer) || !taken.held())
			return 5;
		bt::Buffer kept(client, 77, 0x2000, 64, 0, BUFFTRACK_F_EXCLUSIVE, 9);
		kept.release();
		if (client.reset(77, 9) != 1)
			return 6;
		std::puts(twice.name());
		return 0;
	}
	END
	g++ -std=c++11 -Wall -Wextra -Werror -fno-exceptions "${include[@]}" "$tmp/raii.cpp" \
		-o "$tmp/raii" -L "$here/bindings" -lbufftrack && same "double free" "$("$tmp/raii")"
}

dl()
{
	cat >"$tmp/dl.c" <<-\END
	#include <bufftrack_dl.h>
	#include <stdio.h>

	int main(void)
	{
		struct bufftrack *bt = bufftrack_open("dl", 0);
		struct bufftrack_buffer buffer = { .device = 78, .buffer = 0x1000 };
		struct bufftrack_answer answer = { .refs = 5 };
		int error = bt ? 0 : errno;

		bufftrack_alloc(bt, &buffer, NULL);
		bufftrack_free(bt, &buffer, &answer);
		bufftrack_free(bt, &buffer, &answer);
		printf("%s %u %u\n", strerror(error), answer.verdict, answer.refs);
		bufftrack_close(bt);
		return 0;
	}
	END
	gcc -Wall -Wextra -Werror -D_GNU_SOURCE "${include[@]}" "$tmp/dl.c" -o "$tmp/dl" &&
		fails grep -q bufftrack <<<"$(readelf -d "$tmp/dl")" &&
		same "Success 1 0" "$("$tmp/dl")" &&
		same "Package not installed 0 0" "$(env -u LD_LIBRARY_PATH "$tmp/dl")"
}

python()
{
	cat >"$tmp/test.py" <<-\END
	import os, re, sys
	import bufftrack
	from bufftrack import Buffer, Client, Flag, Info, Verdict

	header = open(sys.argv[1]).read()
	for kind, pattern in ((Verdict, r"BUFFTRACK_(\w+)\s*= (\d+),"),
	                      (Flag, r"define BUFFTRACK_F_(\w+)\s+\(1U << (\d+)\)"),
	                      (Info, r"define BUFFTRACK_INFO_(\w+)\s+\(1U << (\d+)\)")):
	    text = header
	    if kind is Verdict:
	        text = re.search(r"enum bufftrack_verdict \{(.*?)\}", header, re.S)[1]
	    found = {n: int(v) if kind is Verdict else 1 << int(v)
	             for n, v in re.findall(pattern, text) if n != "NR_VERDICTS"}
	    assert found and found == {k.name: k.value for k in kind}, (kind, found)

	with Client("py", required=True) as client:
	    assert client and client.fileno() > 2
	    buffer = Buffer(79, 0x3000, 64)
	    client.alloc(buffer)
	    freed = client.free(buffer)
	    assert client.undo(buffer, freed).refs == 1
	    buffer = Buffer(79, 0x1000, 64)
	    assert client.alloc(buffer).verdict == Verdict.OK and buffer.token
	    assert client.retain(buffer).refs == 2
	    assert [a.verdict for a in client.free_all([buffer, buffer])] == [0, 0]
	    twice = client.free(buffer)
	    assert twice.verdict == Verdict.DOUBLE_FREE and twice.certain, twice
	    client.label(79, "card-79")
	    client.label(79, "L1", space=1)
	    kept = Buffer(79, 0x2000, 64, tag=3, flags=Flag.EXCLUSIVE)
	    client.alloc(kept)
	    assert client.reset(79, 3) == 1 and client.reset() == 1
	    try:
	        client.label(79, "a b")
	        assert False
	    except OSError as error:
	        assert error.errno == 22
	none = Client("x")
	none.close()
	assert not none and none.alloc(buffer).verdict == Verdict.OK and none.reset() == 0
	print("ok")
	END
	same ok "$(python3 "$tmp/test.py" "$here/bindings/linux/bufftrack.h")" &&
		env -u LD_LIBRARY_PATH python3 -c '
import bufftrack
assert not bufftrack.Client("x")
try:
    bufftrack.Client("x", required=True)
    assert False
except OSError as error:
    assert "not installed" in str(error)'
}

load
begin 3
check "C++: a buffer's free when it is destroyed" cpp
check "loaded with dlopen where it is there" dl
check "Python" python
ktap_finished
