#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads damaged copies of a recording with the tool, which must neither crash nor hang.

usage: damage.py HOW-MANY SEED FILE SCRATCH

The first is half of it, which must be refused. A third of the others are cut short
elsewhere, and the rest have bytes changed, most of them where the file says what it
holds: at its begin and its end. Each must be read, or refused with a message.
"""
import random
import subprocess
import sys

how_many, seed, path, scratch = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
rng = random.Random(seed)
with open(path, "rb") as recording:
    whole = recording.read()


def place():
    if rng.random() < 0.4:
        return rng.randrange(min(len(whole), 4096))
    if rng.random() < 0.7:
        return len(whole) - 1 - rng.randrange(min(len(whole), 20000))
    return rng.randrange(len(whole))


def damaged(number):
    if number == 0:
        return whole[:len(whole) // 2]
    if rng.random() < 1 / 3:
        return whole[:rng.randrange(len(whole))]
    copy = bytearray(whole)
    for _ in range(rng.randrange(1, 12)):
        copy[place()] = rng.choice([0, 0x7f, 0x80, 0xff, rng.randrange(256)])
    return copy


refused = 0
for number in range(how_many):
    with open(scratch, "wb") as out:
        out.write(damaged(number))
    done = subprocess.run(["bufftrack", "report", "--json", scratch], timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode(errors="replace")
    clean = done.returncode == 1 and said.startswith("bufftrack: ")
    if not clean and (done.returncode or number == 0):
        sys.exit(f"copy {number} of seed {seed}: exit {done.returncode}, said: {said}")
    refused += done.returncode
print(f"{refused} of {how_many} refused")
