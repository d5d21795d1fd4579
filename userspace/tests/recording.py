# SPDX-License-Identifier: GPL-2.0
"""Writes recordings as trace-cmd and perf do, of events that are given.

An event is a name, a time in ns, a CPU, and its fields. What it has not is 0.
"""
import struct

ALLOC = [("u64", "device"), ("u64", "buffer"), ("u64", "size"), ("u64", "tag"),
         ("u64", "token"), ("u64", "generation"), ("u64", "client"), ("u32", "space"),
         ("u32", "flags"), ("u32", "refs"), ("u32", "views"), ("u32", "stack_id"),
         ("s32", "pid"), ("s32", "tid"), ("comm", "comm")]
BAD = [("u64", "device"), ("u64", "buffer"), ("u64", "size"), ("u64", "token"),
       ("u64", "generation"), ("u64", "client"), ("u32", "space"), ("u32", "refs"),
       ("u32", "nth"), ("u32", "info"), ("u32", "stack_id"), ("s32", "pid"), ("s32", "tid"),
       ("comm", "comm"), ("u32", "freed_reason"), ("u64", "freed_time"), ("s32", "freed_pid"),
       ("s32", "freed_tid"), ("comm", "freed_comm"), ("u64", "alloc_time"),
       ("s32", "alloc_pid"), ("s32", "alloc_tid"), ("comm", "alloc_comm"), ("u64", "named"),
       ("u32", "lives"), ("u32", "frees"), ("u32", "flags")]
OPEN = [("u64", "client"), ("s32", "pid"), ("s32", "tid"), ("comm", "comm"), ("u32", "uid")]
SYSTEMS = {
    "bufftrack": {"bufftrack_alloc": ALLOC, "bufftrack_free": ALLOC,
                  "bufftrack_double_free": BAD, "bufftrack_stale_free": BAD,
                  "bufftrack_dangling": BAD, "bufftrack_client_open": OPEN},
    "other": {"other_event": [("u64", "what"), ("comm", "comm")]},
}
KINDS = {"u64": ("Q", 8, "u64", 0), "u32": ("I", 4, "u32", 0), "s32": ("i", 4, "pid_t", 1),
         "comm": ("16s", 16, None, 0)}
COMMON = 8  # bytes of what every event has
PAGE = 4096
MISSED, MISSED_STORED = 1 << 31, 1 << 30


def mark_of(name):
    """What an event of a module that marks its events begins with."""
    words = {"bufftrack_double_free": 1, "bufftrack_stale_free": 2,
             "bufftrack_dangling": 9, "bufftrack_leak": 10, "bufftrack_alloc": 0x100,
             "bufftrack_free": 0x101, "bufftrack_client_open": 0x103}
    return 0x62740000 | words[name]


class Module:
    """The events of a module that is loaded, each with its number."""

    def __init__(self, first=1001, marked=False, systems=("bufftrack", "other")):
        self.events = {}
        self.marked = marked
        for system in systems:
            for name, fields in SYSTEMS[system].items():
                if marked and system == "bufftrack":
                    fields = [("u32", "mark")] + fields
                self.events[name] = (system, first + len(self.events), fields)

    def exchange(self, a, b):
        """As where numbers were given out anew: the formats of two events change places."""
        first, second = self.events[a], self.events[b]
        self.events[a] = (first[0], second[1], first[2])
        self.events[b] = (second[0], first[1], second[2])

    @staticmethod
    def layout(fields):
        at = COMMON
        for kind, name in fields:
            size = KINDS[kind][1]
            align = min(size, 8) if kind != "comm" else 1
            at = (at + align - 1) // align * align
            yield kind, name, at
            at += size

    def format(self, name):
        _, number, fields = self.events[name]
        text = f"name: {name}\nID: {number}\nformat:\n"
        for kind, field, at, size in (("unsigned short", "common_type", 0, 2),
                                      ("unsigned char", "common_flags", 2, 1),
                                      ("unsigned char", "common_preempt_count", 3, 1),
                                      ("int", "common_pid", 4, 4)):
            text += f"\tfield:{kind} {field};\toffset:{at};\tsize:{size};\tsigned:0;\n"
        text += "\n"
        for kind, field, at in self.layout(fields):
            _, size, word, signed = KINDS[kind]
            declared = f"{word} {field}" if word else f"char {field}[16]"
            text += f"\tfield:{declared};\toffset:{at};\tsize:{size};\tsigned:{signed};\n"
        return (text + f'\nprint fmt: "x=%d", REC->{fields[0][1]}\n').encode()

    def record(self, name, fields):
        _, number, known = self.events[name]
        out = bytearray(struct.pack("<HBBi", number, 0, 0, fields.get("pid", 0)))
        for kind, field, at in self.layout(known):
            out += bytes(at - len(out))
            value = fields.get(field, b"runtime" if kind == "comm" else 0)
            if field == "mark":
                value = mark_of(name)
            out += struct.pack("<" + KINDS[kind][0], value)
        return bytes(out + bytes(-len(out) % 8))


def sized(text):
    return struct.pack("<Q", len(text)) + text


def tracing_data(module, names=None):
    """The formats; @names: of these events alone, as where the others are not recorded."""
    out = b"header_page\0" + sized(
        b"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
        b"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
        b"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
        b"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n")
    out += b"header_event\0" + sized(b"# compressed entry header\n")
    out += struct.pack("<I", 0)
    systems = {}
    for name, (system, _, _) in module.events.items():
        if names is None or name in names:
            systems.setdefault(system, []).append(name)
    out += struct.pack("<I", len(systems))
    for system, events in systems.items():
        out += system.encode() + b"\0" + struct.pack("<I", len(events))
        out += b"".join(sized(module.format(name)) for name in events)
    return out


def ring_record(record, delta):
    """A record of a ring buffer: its time's delta, its length, and itself."""
    out = b""
    if delta >= 1 << 27:
        out += struct.pack("<II", 30 | (delta & ((1 << 27) - 1)) << 5, delta >> 27)
        delta = 0
    return out + struct.pack("<II", delta << 5, len(record) + 4) + record


def pages(records):
    """The pages of one CPU: [(time, record)], where a number stands for lost records."""
    out, page, begin, last, lost = bytearray(), b"", 0, 0, 0

    def finish():
        commit = len(page)
        data = page
        if lost:
            commit |= MISSED | MISSED_STORED
            data += struct.pack("<Q", lost)
        return (struct.pack("<QQ", begin, commit) + data).ljust(PAGE, b"\0")

    for item in records:
        missed = isinstance(item, int)
        if page and (missed or len(page) > PAGE - 600):
            out += finish()
            page, lost = b"", 0
        if missed:
            lost = item
            continue
        time, record = item
        if not page:
            begin = last = time
        page += ring_record(record, time - last)
        last = time
    return out + (finish() if page else b"")


def trace_dat(module, cpus, names=None, clock=b"mono"):
    """A trace.dat of version 6. @cpus: what pages() takes, one a CPU."""
    out = b"\x17\x08\x44tracing6\0\0\x08" + struct.pack("<I", PAGE)
    out += tracing_data(module, names)
    out += struct.pack("<I", 0) + struct.pack("<I", 0) + sized(b"1 runtime\n")
    out += struct.pack("<I", len(cpus)) + b"options  \0"
    clocks = b"local [" + clock + b"]\n\0" if clock != b"local" else b"[local] mono\n\0"
    out += struct.pack("<HI", 5, len(clocks)) + clocks
    out += struct.pack("<H", 0) + b"flyrecord\0"
    at = len(out) + 16 * len(cpus)
    at = (at + PAGE - 1) // PAGE * PAGE
    data, places = bytearray(), b""
    for records in cpus:
        cpu = pages(records)
        places += struct.pack("<QQ", at + len(data), len(cpu))
        data += cpu
    return (out + places).ljust(at, b"\0") + data


def perf_attr(number, period=1):
    """A tracepoint: IDENTIFIER, IP, TID, TIME, CPU, PERIOD, RAW; by CLOCK_MONOTONIC."""
    sample_type = 1 << 16 | 1 << 0 | 1 << 1 | 1 << 2 | 1 << 7 | 1 << 8 | 1 << 10
    flags = 1 << 18 | 1 << 25  # sample_id_all, use_clockid
    return struct.pack("<IIQQQQQ", 2, 128, number, period, sample_type, 0, flags).ljust(
        92, b"\0") + struct.pack("<i", 1) + bytes(32)


def perf_data(module, events, names=None, counted=(), lost=()):
    """A perf.data. @events: (time, cpu, name, fields); @counted: members of a group; @lost:
    (name, how many), as perf tells it at its end."""
    names = list(module.events) if names is None else names
    ids = {name: 10 + i for i, name in enumerate(names)}
    out = b"".join(struct.pack("<Q", ids[name]) for name in names)
    attrs_at = 104 + len(out)
    for i, name in enumerate(names):
        attr = perf_attr(module.events[name][1], 0 if name in counted else 1)
        out += attr + struct.pack("<QQ", 104 + 8 * i, 8)
    records = bytearray()
    for time, cpu, name, fields in events:
        raw = module.record(name, fields) + bytes(4)
        body = struct.pack("<QQIIQIIQI", ids[name], 0, fields.get("pid", 1),
                           fields.get("tid", 1), time, cpu, 0, 1, len(raw)) + raw
        records += struct.pack("<IHH", 9, 1, len(body) + 8) + body
    for name, number in lost:
        body = struct.pack("<QIIQIIQ", number, 0, 0, 1 << 60, 0, 0, ids[name])
        records += struct.pack("<IHH", 13, 0, len(body) + 8) + body
    at = 104 + len(out)
    header = b"PERFILE2" + struct.pack("<QQQQQQQQ", 104, 144, attrs_at, 144 * len(names), at,
                                       len(records), 0, 0)
    header += struct.pack("<QQQQ", 1 << 1, 0, 0, 0)
    formats = b"\x17\x08\x44tracing0.6\0\0\x08" + struct.pack("<I", PAGE)
    formats += tracing_data(module, names)
    table = at + len(records)
    return header + out + records + struct.pack("<QQ", table + 16, len(formats)) + formats
