#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Clients of the allocation server, as they were before bufftrack: what they send, byte by
byte, with the packed format of their own.

usage: serve_peers.py SOCKET SCENARIO [ARGUMENT...]

log FILE [PIECES]   what a log of the server says, in its order, over one connection; with
                    PIECES cut into pieces of random length by that seed
spread FILE N       the same from N connections, each with its own pids
alloc|free PID DEVICE TYPE BUFFER SIZE
query DEVICE        prints the bytes of the four types
info DEVICE         prints the device's description
dump
garbage             300 messages of no known type, then an ALLOC
half                an ALLOC, then half a message, then gone
deaf                many questions whose answers nobody reads, then an ALLOC
crowd N             N connections at once: each an ALLOC and a question
vanish              an ALLOC, then killed
flood N             N frees of what was never allocated
burst N             N ALLOCs without waiting for the server, and away
hold                an ALLOC, then waits for a line of standard input
"""
import os
import random
import re
import signal
import socket
import struct
import sys

FORMAT = "<B3xiQB3xiQQ4QQQ6I"
SIZE = struct.calcsize(FORMAT)
assert SIZE == 112
ALLOC, FREE, QUERY, RESPONSE, DUMP, INFO, INFO_RESPONSE = range(1, 8)
TYPES = {"DRAM": 0, "L1": 1, "SYSTEM_MEMORY": 2, "L1_SMALL": 3, "TRACE": 4}

path, scenario, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]


def connect():
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(path)
    return peer


def message(kind, pid=0, device=0, buffer_type=0, buffer=0, size=0):
    return struct.pack(FORMAT, kind, device, size, buffer_type, pid, buffer, 0, *[0] * 12)


def receive(peer):
    data = b""
    while len(data) < SIZE:
        more = peer.recv(SIZE - len(data))
        if not more:
            sys.exit("the server has closed the connection")
        data += more
    return struct.unpack(FORMAT, data)


def ask(peer, kind, device):
    peer.sendall(message(kind, device=device))
    return receive(peer)


def settled(peer):
    """Once this is answered, all before it on this connection is done."""
    ask(peer, QUERY, 0)


LINE = re.compile(r"\[PID (\d+)\] (?:Allocated (\d+) bytes of (\w+) on device (\d+) "
                  r"\(buffer_id=(\d+)|Freed buffer (\d+) on device (\d+)|"
                  r"Deallocation for unknown buffer (\d+) on device (\d+))")


def messages_of(log):
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            found = LINE.search(line)
            if not found:
                continue
            pid = int(found[1])
            if found[2]:
                yield pid, message(ALLOC, pid, int(found[4]), TYPES[found[3]], int(found[5]),
                                   int(found[2]))
            else:
                yield pid, message(FREE, pid, int(found[7] or found[9]), 0,
                                   int(found[6] or found[8]))


def log(name, seed=None):
    peer = connect()
    everything = b"".join(data for _, data in messages_of(name))
    if seed is None:
        peer.sendall(everything)
    else:
        rng, begin = random.Random(int(seed)), 0
        while begin < len(everything):
            end = begin + rng.choice([1, 3, 50, 111, 112, 113, 500, 5000])
            peer.sendall(everything[begin:end])
            begin = end
    settled(peer)


def spread(name, nr):
    nr = int(nr)
    peers = [connect() for _ in range(nr)]
    for pid, data in messages_of(name):
        peers[pid % nr].sendall(data)
    for peer in peers:
        settled(peer)


def one(kind, pid, device, buffer_type, buffer, size):
    peer = connect()
    peer.sendall(message(kind, int(pid), int(device), TYPES[buffer_type], int(buffer, 0),
                         int(size)))
    settled(peer)


def deaf():
    peer = connect()
    # The server's answers fill the socket, and nobody takes them.
    for _ in range(20000):
        peer.sendall(message(QUERY))
    peer.sendall(message(ALLOC, os.getpid(), 7, 1, 0x7000, 70))
    other = connect()
    for _ in range(600):
        if ask(other, QUERY, 7)[8] == 70:
            print("seen")
            return
        signal.sigtimedwait([], 0.1)


def crowd(nr):
    peers = [connect() for _ in range(int(nr))]
    for i, peer in enumerate(peers):
        peer.sendall(message(ALLOC, os.getpid(), 8, 1, 0x10000 + i, 2))
    for peer in peers:
        settled(peer)
    print(ask(peers[0], QUERY, 8)[8])


def main():
    if scenario == "log":
        log(*arguments)
    elif scenario == "spread":
        spread(*arguments)
    elif scenario in ("alloc", "free"):
        one({"alloc": ALLOC, "free": FREE}[scenario], *arguments)
    elif scenario == "query":
        answer = ask(connect(), QUERY, int(arguments[0]))
        assert answer[0] == RESPONSE and answer[1] == int(arguments[0])
        print(*answer[7:11])
    elif scenario == "info":
        answer = ask(connect(), INFO, int(arguments[0]))
        assert answer[0] == INFO_RESPONSE and answer[1] == int(arguments[0])
        print(*answer[11:19])
    elif scenario == "dump":
        peer = connect()
        peer.sendall(message(DUMP))
        settled(peer)
    elif scenario == "garbage":
        peer = connect()
        rng = random.Random(1)
        for _ in range(300):
            peer.sendall(bytes([rng.choice([0, 4, 7, 8, 99, 255])]) + rng.randbytes(SIZE - 1))
        peer.sendall(message(ALLOC, os.getpid(), 6, 1, 0x6000, 60))
        settled(peer)
        print(ask(peer, QUERY, 6)[8])
    elif scenario == "half":
        peer = connect()
        peer.sendall(message(ALLOC, os.getpid(), 5, 1, 0x5000, 50) + message(ALLOC)[:56])
    elif scenario == "deaf":
        deaf()
    elif scenario == "crowd":
        crowd(*arguments)
    elif scenario == "vanish":
        peer = connect()
        peer.sendall(message(ALLOC, os.getpid(), 4, 1, 0x4000, 40))
        settled(peer)
        os.kill(os.getpid(), signal.SIGKILL)
    elif scenario == "flood":
        peer = connect()
        for i in range(int(arguments[0])):
            peer.sendall(message(FREE, os.getpid(), 3, 0, 0x100000 + i))
        settled(peer)
        print("done")
    elif scenario == "burst":
        connect().sendall(b"".join(message(ALLOC, os.getpid(), 2, 1, 0x200000 + i, 8)
                                   for i in range(int(arguments[0]))))
    elif scenario == "hold":
        peer = connect()
        peer.sendall(message(ALLOC, os.getpid(), 1, 1, 0x1000, 10))
        settled(peer)
        print("held", flush=True)
        sys.stdin.readline()
    else:
        sys.exit(__doc__)


main()
