#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
Damaged files: nothing that an ELF file or its DWARF says may end, stop or fill who reads it.

Copies of three programs are damaged at random, by a seed that is printed, and given to places:
bytes in the headers, in the tables, in the DWARF, anywhere; or the file's end is missing. Each
is asked of at a few places. libdw itself may fail by one: then the answer is that the file is
damaged. What may not be: that places ends, takes long, takes much memory, or that a sanitizer
has found something in the tool's own code.
"""
import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys

import matrix

COPIES = 300
PLACES = 12
SECONDS = 60
MEMORY_KB = 3 << 20


def bases(where):
    """Programs, each with places in it."""
    made = {
        "gcc": "gcc -g -O2 -o gcc main.c other.c",
        "clang": "clang -g -O2 -c main.c && clang -g -O2 -c other.c && clang -o clang main.o "
                 "other.o",
        "zlib": "g++ -g -O2 -gz=zlib -o zlib main.cpp",
    }
    for name, command in made.items():
        matrix.run(command, where)
        path = os.path.join(where, name)
        loaded = matrix.segments(path)
        offsets = [address - start + at for address in matrix.return_addresses(path)
                   for at, start, size in loaded if start < address <= start + size]
        with open(path, "rb") as file:
            yield name, file.read(), offsets[::max(1, len(offsets) // PLACES)]


def sections(path):
    """Offset and size of what readers look into: headers, tables, symbols and DWARF."""
    found = [(0, 0x400)]
    for line in matrix.run(["readelf", "-SW", path], None).splitlines():
        match = re.match(r"\s*\[\s*\d+\] (\S+)\s+\S+\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+)", line)
        if match and re.match(r"\.(debug|symtab|strtab|shstrtab|note|dyn|gnu)", match.group(1)):
            found.append((int(match.group(2), 16), int(match.group(3), 16)))
    size = os.path.getsize(path)
    found.append((size - 64 * 40, 64 * 40))
    return [(at, length) for at, length in found if length and at + length <= size]


def damage(data, parts, chance):
    """A damaged copy."""
    copy = bytearray(data)
    if chance.random() < 0.15:
        return copy[:chance.randrange(len(copy))]
    at, length = chance.choice(parts)
    if chance.random() < 0.2:
        at, length = 0, len(copy)
    for _ in range(chance.choice((1, 1, 2, 5, 20, 100))):
        place = at + chance.randrange(length)
        copy[place] = chance.choice((0, 0xff, 0x7f, 0x80, copy[place] ^ 1 << chance.randrange(8),
                                     chance.randrange(256)))
    return copy


def ask(places, path, offsets):
    """What is wrong with how places takes it; None for nothing. And its answer."""
    text = "".join(f"{path} - {offset:x}\n" for offset in offsets)
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1")
    with subprocess.Popen([places], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace",
                          env=environment) as process:
        try:
            out, error = process.communicate(text, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return "takes too long", ""
    if process.returncode:
        return f"ended by {process.returncode}: {error[-1500:]}", out
    # A fault within libdw is not the tool's; one that is found in the tool's own code is.
    for report in re.split(r"(?m)^=+\d+=+ERROR", error)[1:]:
        first = re.search(r"#0 .*", report)
        if "SEGV" not in report.split("\n")[0] or not first or "/lib/" not in first.group(0):
            return "a sanitizer: " + report[:1500], out
    if "runtime error" in error:
        return "a sanitizer: " + error[:1500], out
    if len([line for line in out.splitlines() if line[0] != "\t"]) != len(offsets):
        return "an answer is missing", out
    return None, out


def main():
    parser = argparse.ArgumentParser(description="Reads the symbols of damaged files.")
    parser.add_argument("places", help="the program that asks the tool's code")
    parser.add_argument("directory", help="where to build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--copies", type=int, default=COPIES)
    options = parser.parse_args()
    os.environ.pop("DEBUGINFOD_URLS", None)
    os.environ["LC_ALL"] = "C"
    where = os.path.abspath(options.directory)
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(matrix.HERE, where)
    chance = random.Random(options.seed)
    made = [(name, data, offsets, sections(os.path.join(where, name)))
            for name, data, offsets in bases(where)]
    told, failed = {}, 0
    for number in range(options.copies):
        name, data, offsets, parts = made[number % len(made)]
        path = os.path.join(where, "damaged")
        with open(path, "wb") as file:
            file.write(damage(data, parts, chance))
        problem, out = ask(os.path.abspath(options.places), path, offsets)
        for line in out.splitlines():
            if not line.startswith("\t"):
                why = line.split("\t")[1] or "nothing lacks"
                told[why] = told.get(why, 0) + 1
        if problem:
            failed += 1
            print(f"# copy {number} of {name}: {problem}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"# seed {options.seed}: {options.copies} copies, at most {memory} KB; "
          + "; ".join(f"{nr} {why}" for why, nr in sorted(told.items())))
    if memory > MEMORY_KB:
        failed += 1
    print(f"{'not ' if failed else ''}ok 1 - symbols: damaged files\n1..1")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
