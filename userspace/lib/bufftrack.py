# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""libbufftrack for Python: for runtimes' tests, and for runtimes that are written in it.

    import bufftrack

    client = bufftrack.Client("my-test")
    buffer = bufftrack.Buffer(device=1, buffer=0x1000, size=4096)
    client.alloc(buffer)              # after the address was obtained
    answer = client.free(buffer)      # before the address is given back
    assert answer.verdict == bufftrack.Verdict.OK

Where the library or the module is not there, a client is false, and each of its calls does
nothing and answers OK. Reports that fail raise OSError.
"""
from __future__ import annotations

import ctypes
import enum
import os
from typing import Iterable, NamedTuple, Optional

__all__ = ["Answer", "Buffer", "Client", "Flag", "Info", "Verdict"]

LIBRARY = "libbufftrack.so.0"


class Verdict(enum.IntEnum):
    """What the kernel says of one report."""

    OK = 0
    DOUBLE_FREE = 1
    STALE_FREE = 2
    FOREIGN_FREE = 3
    FREE_AFTER_EXIT = 4
    FREE_AFTER_RESET = 5
    UNKNOWN_FREE = 6
    MISSED_FREE = 7
    SIZE_MISMATCH = 8
    DANGLING = 9
    LEAK = 10
    HELD_FREE = 11


class Info(enum.IntFlag):
    """What is said beside a verdict."""

    PROBABLE = 1 << 0
    HISTORY_LOST = 1 << 1
    NOT_RECORDED = 1 << 2
    FORKED = 1 << 3
    CONSEQUENCE = 1 << 4
    UNDONE = 1 << 5
    VIEWS_LEFT = 1 << 6
    CLOSING = 1 << 7


class Flag(enum.IntFlag):
    """Flags of an alloc; VIEW and LAST also of a free."""

    EXCLUSIVE = 1 << 0
    SHARED = 1 << 1
    VIEW = 1 << 2
    RETAIN = 1 << 3
    SAME = 1 << 4
    PERSISTENT = 1 << 5
    LAST = 1 << 6


PRIVATE = 1 << 1
STRICT = 1 << 2
TRAP = 1 << 3
REQUIRE_TOKEN = 1 << 4
PARTIAL = 1 << 5
FORK_SHARED = 1 << 30
_RESET_TAG = 1 << 2
_RESET_ALL = 1 << 3


class Buffer(ctypes.Structure):
    """One buffer, as its runtime knows it. Keep it as long as the buffer: it has the token."""

    _fields_ = [
        ("device", ctypes.c_uint64),
        ("buffer", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("tag", ctypes.c_uint64),
        ("token", ctypes.c_uint64),
        ("space", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    ]

    def __init__(self, device: int, buffer: int, size: int = 0, tag: int = 0, token: int = 0,
                 space: int = 0, flags: int = 0) -> None:
        super().__init__(device, buffer, size, tag, token, space, flags)


class _Answer(ctypes.Structure):
    _fields_ = [
        ("generation", ctypes.c_uint64),
        ("refs", ctypes.c_uint32),
        ("verdict", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("error", ctypes.c_int32),
    ]


class Answer(NamedTuple):
    """What the kernel says of one report."""

    verdict: Verdict
    info: Info
    generation: int
    refs: int

    @property
    def certain(self) -> bool:
        """Whether the verdict is what happened, not only what was reported."""
        return not self.info & Info.PROBABLE


def _load() -> Optional[ctypes.CDLL]:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError:
        return None
    handle = ctypes.c_void_p
    report = [handle, ctypes.POINTER(Buffer), ctypes.POINTER(_Answer)]
    library.bufftrack_open.argtypes = [ctypes.c_char_p, ctypes.c_uint]
    library.bufftrack_open.restype = handle
    library.bufftrack_close.argtypes = [handle]
    library.bufftrack_close.restype = None
    library.bufftrack_fd.argtypes = [handle]
    for name in ("alloc", "retain", "free", "undo"):
        getattr(library, "bufftrack_" + name).argtypes = report
    library.bufftrack_reset.argtypes = [handle, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint]
    library.bufftrack_reset.restype = ctypes.c_int64
    library.bufftrack_label_device.argtypes = [handle, ctypes.c_uint64, ctypes.c_char_p]
    library.bufftrack_label_space.argtypes = [handle, ctypes.c_uint64, ctypes.c_uint32,
                                              ctypes.c_char_p]
    library.bufftrack_label_tag.argtypes = [handle, ctypes.c_uint64, ctypes.c_uint64,
                                            ctypes.c_char_p]
    return library


_library = _load()


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


class Client:
    """A client of the kernel's. False where there is nothing to report to."""

    def __init__(self, name: str, flags: int = 0, required: bool = False) -> None:
        self._handle: Optional[int] = None
        if _library is not None:
            self._handle = _library.bufftrack_open(name.encode(), flags)
        if required and self._handle is None:
            if _library is None:
                raise OSError(f"{LIBRARY} is not installed")
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), "/dev/bufftrack")

    def __bool__(self) -> bool:
        return self._handle is not None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the client: what it holds is reported as leaked."""
        if _library is not None and self._handle is not None:
            _library.bufftrack_close(self._handle)
        self._handle = None

    def fileno(self) -> int:
        """The open file, -1 where there is none."""
        if _library is None or self._handle is None:
            return -1
        return _library.bufftrack_fd(self._handle)

    def _report(self, name: str, buffer: Buffer, answer: _Answer) -> Answer:
        if _library is not None and self._handle is not None:
            call = getattr(_library, "bufftrack_" + name)
            result = call(self._handle, ctypes.byref(buffer), ctypes.byref(answer))
            if answer.verdict == Verdict.OK:
                _checked(result)
        return Answer(Verdict(answer.verdict), Info(answer.info), answer.generation, answer.refs)

    def alloc(self, buffer: Buffer) -> Answer:
        """After the address was obtained; writes the buffer's token."""
        return self._report("alloc", buffer, _Answer())

    def retain(self, buffer: Buffer) -> Answer:
        """One more reference to a live buffer."""
        return self._report("retain", buffer, _Answer())

    def free(self, buffer: Buffer) -> Answer:
        """Before the address is given back."""
        return self._report("free", buffer, _Answer())

    def undo(self, buffer: Buffer, freed: Answer) -> Answer:
        """Nothing was freed: takes back the free that answered so."""
        answer = _Answer(freed.generation, freed.refs, freed.verdict, freed.info, 0)
        return self._report("undo", buffer, answer)

    def reset(self, device: Optional[int] = None, tag: Optional[int] = None) -> int:
        """A device is over, what has the tag on it, or (without a device) everything."""
        if _library is None or self._handle is None:
            return 0
        flags = _RESET_ALL if device is None else 0
        if tag is not None:
            flags |= _RESET_TAG
        return _checked(_library.bufftrack_reset(self._handle, device or 0, tag or 0, flags))

    def label(self, device: int, text: str, space: Optional[int] = None,
              tag: Optional[int] = None) -> None:
        """Names a device, a space of it, or a tag on it."""
        if _library is None or self._handle is None:
            return
        if space is not None:
            result = _library.bufftrack_label_space(self._handle, device, space, text.encode())
        elif tag is not None:
            result = _library.bufftrack_label_tag(self._handle, device, tag, text.encode())
        else:
            result = _library.bufftrack_label_device(self._handle, device, text.encode())
        _checked(result)

    def free_all(self, buffers: Iterable[Buffer]) -> list[Answer]:
        """Frees them in their order."""
        return [self.free(buffer) for buffer in buffers]
