#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a log of the allocation server, and says what its replay must find.

usage: replay_log.py LINES SEED LOG SUMMARY [ADDRESSES]

The verdicts are worked out here from the rules alone, one dictionary a key: no
code is shared with the module or the tool.
"""
import json
import random
import sys

lines, seed, log_path, summary_path = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
addresses = int(sys.argv[5]) if len(sys.argv) > 5 else 400
rng = random.Random(seed)
pids = [rng.randrange(2, 60000) for _ in range(9)]
types = ["L1", "DRAM", "L1_SMALL"]
keys = {}
latest = {}
verdicts = dict.fromkeys(["ok", "double_free", "foreign_free", "unknown_free"], 0)
total = {"allocs": 0, "frees": 0, "released": 0}


class Key:
    def __init__(self, size):
        self.size = size
        self.holds = None  # of the live life, by pid; None: not live
        self.known = False  # the kernel has a record of it
        self.allocs = self.frees = 0


def alloc(pid, device, kind, buffer):
    key = keys.setdefault((device, kind, buffer), Key(rng.randrange(1, 1 << 20)))
    if key.holds is None:
        key.holds = {}
    key.holds[pid] = key.holds.get(pid, 0) + 1
    key.known = True
    key.allocs += 1
    latest[device, buffer] = kind
    verdicts["ok"] += 1
    total["allocs"] += 1
    refs = sum(key.holds.values())
    more = f", ref_count={refs}" if refs > 1 else ""
    return (f"✓ [PID {pid}] Allocated {key.size} bytes of {kind} on device {device} "
            f"(buffer_id={buffer}{more})")


def free(pid, device, buffer):
    # A free names no type: the latest ALLOC of that address says which, else it is space 0.
    kind = latest.get((device, buffer), "DRAM")
    key = keys.setdefault((device, kind, buffer), Key(0))
    key.frees += 1
    total["frees"] += 1
    if not key.known:
        verdicts["unknown_free"] += 1
    elif key.holds is None:
        verdicts["double_free"] += 1
    elif key.holds.get(pid):
        key.holds[pid] -= 1
        verdicts["ok"] += 1
        refs = sum(key.holds.values())
        if not refs:
            key.holds = None
            total["released"] += 1
        tail = f"ref_count={refs} remaining" if refs else "FINAL"
        return (f"✗ [PID {pid}] Freed buffer {buffer} on device {device} "
                f"({key.size} bytes, {tail})")
    elif pid in key.holds:
        verdicts["double_free"] += 1
    else:
        verdicts["foreign_free"] += 1
    return (f"⚠ [PID {pid}] Deallocation for unknown buffer {buffer} on device {device} "
            "(allocated before tracking started)")


with open(log_path, "w", encoding="utf-8") as log:
    for _ in range(lines):
        pid, device = rng.choice(pids), rng.randrange(8)
        # Few addresses, so that each lives often; buffers of one type each.
        buffer = rng.randrange(1, addresses) * 2048
        if rng.random() < 0.02:
            print("[stats] device 3: nothing of interest", file=log)
        elif rng.random() < 0.5:
            print(alloc(pid, device, types[buffer // 2048 % 3], buffer), file=log)
        else:
            held = keys.get((device, latest.get((device, buffer)), buffer))
            if held and held.holds and rng.random() < 0.8:
                pid = rng.choice(list(held.holds))
            print(free(pid, device, buffer), file=log)

summary = dict(total, **verdicts)
summary["live"] = sum(1 for k in keys.values() if k.holds is not None)
summary["balanced"] = sum(1 for k in keys.values() if k.allocs == k.frees)
summary["leaked"] = sum(1 for k in keys.values() if k.allocs > k.frees)
summary["over_freed"] = sum(1 for k in keys.values() if k.allocs < k.frees)
summary["worst"] = sorted((k.frees - k.allocs for k in keys.values() if k.frees > k.allocs),
                          reverse=True)[:10]
with open(summary_path, "w", encoding="utf-8") as out:
    json.dump(summary, out)
