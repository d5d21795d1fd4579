#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""bufftrack report on recordings that are made here: what it tells, and what it does not.

usage: test_recordings.py BUFFTRACK
       test_recordings.py --damaged HOW-MANY SEED BUFFTRACK

Where trace-cmd and perf are installed they count the same events. Damaged copies of each
kind of recording must be read or be refused in words, by a tool that is best built with
the sanitizers.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from recording import Module, perf_data, trace_dat

tool = sys.argv[-1]
tmp = tempfile.mkdtemp()
results = []


def check(good, name, said=""):
    results.append(good)
    print(f"{'' if good else 'not '}ok {len(results)} - {name}")
    if not good:
        print("# " + str(said).replace("\n", "\n# "))


def write(name, content):
    path = os.path.join(tmp, name)
    with open(path, "wb") as out:
        out.write(content)
    return path


def report(*paths, options=("--json", "--summary")):
    """What it has told: the lines as JSON; and its exit status and complaints."""
    done = subprocess.run([tool, "report", *options, *paths], timeout=120, check=False,
                          capture_output=True, text=True)
    lines = done.stdout.splitlines()
    told = [json.loads(line) for line in lines] if "--json" in options else lines
    return told, done.returncode, done.stderr


def counts(path, program):
    """How many events of bufftrack another program sees; None where it is not there."""
    if not shutil.which(program[0]):
        return None
    done = subprocess.run([*program, path], capture_output=True, text=True, check=False)
    return sum("bufftrack_" in line for line in done.stdout.splitlines())


def lives(nr, begin=1000, view=False):
    """Buffers that are allocated on CPU 0 and freed on CPU 1, and the one that is not."""
    for i in range(nr):
        key = {"device": 1, "space": 1, "buffer": 0x1000 + 64 * i, "size": 64, "client": 1,
               "generation": i + 1, "pid": 42, "tid": 42}
        time = begin + 1000 * i
        yield time, 0, "bufftrack_alloc", {**key, "refs": 1}
        if view:
            yield time + 100, 0, "bufftrack_alloc", {**key, "refs": 1, "views": 1, "flags": 4}
            yield time + 200, 0, "bufftrack_free", {**key, "refs": 1, "views": 0, "flags": 4}
        if i + 1 < nr:
            yield time + 300, 1, "bufftrack_free", key


def on_cpus(module, events, nr=2):
    cpus = [[] for _ in range(nr)]
    for time, cpu, name, fields in events:
        cpus[cpu].append((time, module.record(name, fields)))
    return cpus


def bad(name, time, buffer=0x1000):
    return time, 0, name, {"device": 1, "space": 1, "buffer": buffer, "generation": 1,
                           "client": 1, "pid": 42, "tid": 42, "nth": 1, "lives": 1}


def both(module, events, name):
    """The same events as each of the two records them."""
    events = list(events)
    return (write(name + ".dat", trace_dat(module, on_cpus(module, events))),
            write(name + ".data", perf_data(module, events)))


def test_counts():
    events = [*lives(500), bad("bufftrack_double_free", 10 ** 6)]
    module = Module()
    for path, program in zip(both(module, events, "good"),
                             (["trace-cmd", "report", "-i"], ["perf", "script", "-i"])):
        told, status, said = report(path)
        summary = told[-1]
        name = os.path.basename(path)
        check(status == 0 and not said and summary["events"] == len(events) and
              [summary[key] for key in ("allocs", "frees", "live", "balanced", "leaked",
                                        "double_free", "over_freed")] ==
              [500, 500, 1, 498, 1, 1, 1], f"{name}: what it comes to", (told, said))
        seen = counts(path, program)
        check(seen in (None, len(events)), f"{name}: as many as {program[0]} sees", seen)
    path = os.path.join(tmp, "good.dat")
    for version, compression in (("7", "none"), ("7", "zstd")):
        other = os.path.join(tmp, "converted.dat")
        convert = ["trace-cmd", "convert", "-i", path, "-o", other, "--file-version", version,
                   "--compression", compression]
        if not shutil.which("trace-cmd"):
            check(True, f"version {version}, {compression} # SKIP no trace-cmd")
            continue
        subprocess.run(convert, check=True, capture_output=True)
        told, status, said = report(other)
        check(status == 0 and told[-1]["events"] == len(events),
              f"a trace.dat of version {version}, compression {compression}", (told, said))
        with open(other, "rb") as file:
            whole = file.read()
        silent = []
        for part in range(1, 100, 7):
            cut = write("cut.dat", whole[:len(whole) * part // 100])
            told, status, said = report(cut)
            # What stands last are names of sections: without them every event is there.
            if not ((status == 1 and "bufftrack: cannot read" in said) or
                    (part > 95 and told and told[-1]["events"] == len(events))):
                silent.append((part, status, said))
        check(not silent, f"cut short, version {version}, {compression}: refused", silent)


def test_numbers_anew():
    """Modules that come and go: what has our number and is not ours is told as nothing."""
    for marked in (False, True):
        module = Module(marked=marked)
        events = [*lives(60)]
        cpus = on_cpus(module, events)
        module.exchange("bufftrack_alloc", "bufftrack_dangling")
        path = write("anew.dat", trace_dat(module, cpus))
        told, status, said = report(path, options=("--json",))
        check([event["event"] for event in told] == ["summary"] and told[-1]["foreign"] == 60 and
              told[-1]["dangling"] == 0 and status == 1 and "incomplete" in said,
              "allocs by the number of dangling views: no verdict, and said", (told, said))
    module = Module(marked=True)
    cpus = on_cpus(module, [bad("bufftrack_stale_free", 10)])
    module.exchange("bufftrack_stale_free", "bufftrack_double_free")
    told, status, said = report(write("anew.dat", trace_dat(module, cpus)), options=("--json",))
    check(len(told) == 1 and told[0]["foreign"] == 1 and told[0]["double_free"] == 0,
          "events of one size are told apart by their mark", (told, said))
    told, status, said = report(write("anew.dat", trace_dat(module, cpus)), options=())
    check(status == 1 and "1 record not read" in "\n".join(told), "as text", (told, said))


def test_without_format():
    """Records of a module that is gone, behind a loss: the rest of that CPU is read."""
    module, gone = Module(), Module(first=2001)
    cpus = on_cpus(module, lives(50))
    first, rest = cpus[0][:20], cpus[0][20:]
    unknown = [(first[-1][0] + 1 + i, gone.record("bufftrack_alloc", {})) for i in range(30)]
    cpus[0] = [*first, 7, *unknown, *rest]
    told, status, said = report(write("unknown.dat", trace_dat(module, cpus)))
    summary = told[-1]
    check(summary["unknown"] == 30 and summary["events"] == 99 and status == 1 and
          "30 records" in said, "records without a format are counted, and read past",
          (told, said))
    check(summary["lost"] + summary["lost_shared"] == 7, "and what was lost before them", told)
    none = Module(systems=("other",))
    told, status, said = report(write("gone.dat", trace_dat(none, [[(5, none.record(
        "other_event", {}))]])))
    check(status == 1 and "unloaded" in said and "-e bufftrack" in said,
          "no format at all: not recorded, or the module was unloaded", said)
    told, status, said = report(write("erased.dat", trace_dat(module, [[]])), options=())
    check(status == 0 and "erased" in "\n".join(told), "formats, and no event: so it is said",
          (told, said))


def test_losses():
    module = Module()
    other = [(10 + i, module.record("other_event", {"what": i})) for i in range(10)]
    cpus = on_cpus(module, lives(5))
    told, _, said = report(write("mixed.dat", trace_dat(module, [cpus[0], [*other[:5], 9,
                                                                         *other[5:]]])))
    check([told[-1]["lost"], told[-1]["lost_shared"]] == [0, 9],
          "lost of a buffer that others share: not charged to bufftrack alone", (told, said))
    told, _, said = report(write("ours.dat", trace_dat(module, [[*cpus[0][:2], 9, *cpus[0][2:]],
                                                               cpus[1]])))
    check([told[-1]["lost"], told[-1]["lost_shared"]] == [9, 0], "lost of ours alone",
          (told, said))
    told, _, said = report(write("lost.data", perf_data(
        module, lives(5), lost=[("other_event", 100), ("bufftrack_free", 3)])))
    check([told[-1]["lost"], told[-1]["lost_shared"]] == [3, 0],
          "perf has counted by event: others' are not ours", (told, said))


def test_parts():
    module = Module()
    events = list(lives(10))
    for names, word in ((["bufftrack_alloc"], "no frees"), (["bufftrack_free"], "no allocs")):
        mine = [event for event in events if event[2] in names]
        for path in (write("part.dat", trace_dat(module, on_cpus(module, mine), names)),
                     write("part.data", perf_data(module, mine, names))):
            told, status, said = report(path)
            check(told[-1]["balanced"] is None and word in told[-1]["no_balance"],
                  f"{os.path.basename(path)}: {names[0]} alone", (told, said))
    names = ["bufftrack_alloc", "bufftrack_free"]
    mine = [event for event in events if event[2] == "bufftrack_alloc"]
    told, status, said = report(write("group.data", perf_data(module, mine, names,
                                                             counted=["bufftrack_free"])))
    check(told[-1]["leaked"] is None and ":S" in told[-1]["no_balance"],
          "a group that samples its leader alone: no balance", (told, said))


def test_words():
    path = both(Module(), lives(3, view=True), "views")[0]
    told, _, said = report(path)
    check([told[-1][key] for key in ("allocs", "frees", "balanced", "over_freed", "leaked")] ==
          [3, 2, 2, 0, 1], "views are no allocs, and to drop one is no free", (told, said))
    lines, _, said = report(path, options=("--summary",))
    check(any(line.startswith("not freed yet") and line.split()[3] == "1" for line in lines),
          "what is live is not freed yet, and no leak", lines)


def test_several():
    module = Module()
    events = list(lives(100))
    paths = [write(f"part{i}.data", perf_data(module, events[i::3])) for i in range(3)]
    told, status, said = report(*paths)
    check(status == 0 and told[-1]["events"] == len(events) and told[-1]["balanced"] == 99,
          "several files are one recording", (told, said))
    told, status, said = report(paths[0], paths[0])
    check(status == 1 and "twice" in said, "a file that is given twice", said)


def test_interrupted():
    """Ctrl-C, while it waits for who takes what it tells: it ends, and says how far it was."""
    path = write("long.data", perf_data(Module(), lives(5000)))
    with subprocess.Popen([tool, "report", "--all", "--json", path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as running:
        running.stdout.readline()
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    check(running.returncode == 1 and said.startswith("bufftrack: "), "Ctrl-C ends it in order",
          (running.returncode, said))


def damage(whole, rng):
    """A copy that is cut short, or has other bytes, most where the file says what it holds."""
    if rng.random() < 1 / 4:
        return whole[:rng.randrange(len(whole))]
    copy = bytearray(whole)
    for _ in range(rng.randrange(1, 12)):
        place = rng.choice([rng.randrange(min(len(whole), 4096)), rng.randrange(len(whole)),
                            len(whole) - 1 - rng.randrange(min(len(whole), 8192))])
        copy[place] = rng.choice([0, 0x7f, 0x80, 0xff, rng.randrange(256)])
    return copy


def kinds_of_recording():
    """A good one of each kind that can be made here: its name and its bytes."""
    events = [*lives(60), bad("bufftrack_double_free", 10 ** 6)]
    paths = list(both(Module(), events, "good"))
    if shutil.which("trace-cmd"):
        paths.append(os.path.join(tmp, "good7.dat"))
        subprocess.run(["trace-cmd", "convert", "-i", paths[0], "-o", paths[-1],
                        "--compression", "zstd"], check=True, capture_output=True)
    for path in paths:
        with open(path, "rb") as file:
            yield os.path.basename(path), file.read()


def test_damaged(how_many, seed):
    """In a perf.data nothing of ours may fail; libtracecmd's faults end its process only."""
    for name, whole in kinds_of_recording():
        rng = random.Random(f"{seed} {name}")
        wrong, refused = [], 0
        for number in range(how_many):
            path = write("damaged-" + name, damage(whole, rng))
            told, status, said = report(path)
            refused += status
            ours = name.endswith(".data") and "the reading ended by" in said
            if status not in (0, 1) or (status and not said.startswith("bufftrack: ")) or \
                    (not status and not told) or ours:
                wrong.append((number, status, said))
        check(not wrong and refused, f"{how_many} damaged copies of {name}: {refused} refused",
              wrong[:3])


try:
    if sys.argv[1] == "--damaged":
        test_damaged(int(sys.argv[2]), int(sys.argv[3]))
    else:
        for test in (test_counts, test_numbers_anew, test_without_format, test_losses,
                     test_parts, test_words, test_several, test_interrupted):
            test()
finally:
    shutil.rmtree(tmp)
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
