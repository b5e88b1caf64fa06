"""The program as it was linked: what makes an overflow that nobody has found hard to use.

Read from the file itself, so that a flag that a compiler took and a linker dropped is noticed.
"""

from __future__ import annotations

import platform
import re
import struct
from dataclasses import dataclass
from functools import cache

import pytest

from harness import BUILDDIR, LARDERD

ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 0x6474E551, 0x6474E552
PF_X, PF_W = 1, 2
DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_TEXTREL = 1, 5, 10, 14, 15, 22
DT_RUNPATH, DT_FLAGS, DT_FLAGS_1 = 29, 30, 0x6FFFFFFB
DF_TEXTREL, DF_BIND_NOW = 4, 8
DF_1_NOW, DF_1_PIE = 1, 0x08000000

# Of the compiler: what the linked file doesn't show.
FLAGS = ("-fstack-protector-strong", "-fstack-clash-protection", "-ftrivial-auto-var-init=zero",
         "-fPIE")


@dataclass
class Segment:
    """A program header."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int
    memory: int


class Elf:
    """The parts of a 64-bit little-endian ELF file that are looked at here (elf(5))."""

    def __init__(self, data: bytes) -> None:
        assert data[:6] == b"\x7fELF\x02\x01", "larderd is no 64-bit little-endian ELF file"
        self.data = data
        self.kind = struct.unpack_from("<H", data, 16)[0]
        start = struct.unpack_from("<Q", data, 32)[0]
        size, count = struct.unpack_from("<HH", data, 54)
        self.segments = []
        for i in range(count):
            kind, flags, offset, address, _, in_file, memory, _ = struct.unpack_from(
                "<IIQQQQQQ", data, start + i * size)
            self.segments.append(Segment(kind, flags, offset, address, in_file, memory))
        self.dynamic: dict[int, list[int]] = {}
        [dynamic] = self.of(PT_DYNAMIC)
        for tag, value in struct.iter_unpack(
                "<qQ", data[dynamic.offset:dynamic.offset + dynamic.size]):
            self.dynamic.setdefault(tag, []).append(value)

    def of(self, kind: int) -> list[Segment]:
        """The segments of a kind."""
        return [s for s in self.segments if s.kind == kind]

    def flags(self, tag: int) -> int:
        """The value of a dynamic entry, 0 without one."""
        return self.dynamic.get(tag, [0])[0]

    def names(self) -> set[str]:
        """All strings that dynamic linking knows: imported functions among them."""
        at = self.dynamic[DT_STRTAB][0]
        [segment] = [s for s in self.of(PT_LOAD) if s.address <= at < s.address + s.size]
        start = segment.offset + at - segment.address
        table = self.data[start:start + self.dynamic[DT_STRSZ][0]]
        return {name.decode() for name in table.split(b"\0") if name}


@cache
def elf() -> Elf:
    """larderd."""
    return Elf(LARDERD.read_bytes())


def made_with(variable: str) -> str:
    """What ./configure found for a variable of the makefile."""
    found = re.search(rf"^{variable} = *(.*)$", (BUILDDIR / "Makefile").read_text(), re.M)
    assert found, f"{variable} isn't in the makefile"
    return found.group(1)


@pytest.fixture(autouse=True)
def hardened() -> None:
    """Who configured it without (--disable-hardening) is told so here, and nowhere else."""
    assert made_with("HARDEN_CFLAGS"), "larderd was built with --disable-hardening: not for use"


def test_position_independent() -> None:
    """Its addresses are random: PIE, no relocation in code."""
    assert elf().kind == ET_DYN and elf().flags(DT_FLAGS_1) & DF_1_PIE
    assert DT_SONAME not in elf().dynamic, "a library"
    assert DT_TEXTREL not in elf().dynamic and not elf().flags(DT_FLAGS) & DF_TEXTREL


def test_tables_of_pointers_are_read_only() -> None:
    """RELRO in full: everything is bound at the start, then what held it can't be written."""
    [relro] = elf().of(PT_GNU_RELRO)
    assert relro.memory > 0
    assert elf().flags(DT_FLAGS) & DF_BIND_NOW or elf().flags(DT_FLAGS_1) & DF_1_NOW


def test_nothing_is_writable_and_executable() -> None:
    """Neither the stack nor a segment; and no library is looked for where others may write."""
    [stack] = elf().of(PT_GNU_STACK)
    assert not stack.flags & PF_X, "the stack is executable"
    for segment in elf().of(PT_LOAD):
        assert segment.flags & (PF_W | PF_X) != PF_W | PF_X, segment
    assert DT_RPATH not in elf().dynamic and DT_RUNPATH not in elf().dynamic


def test_stack_protector() -> None:
    """Functions with arrays look whether their end was overwritten."""
    assert "__stack_chk_fail" in elf().names()


@pytest.mark.plain
def test_fortify() -> None:
    """The C library's functions that write into a buffer know its size.

    (Not with sanitizers, which see more.)
    """
    checked = {name for name in elf().names() if name.endswith("_chk") and name.startswith("__")}
    assert {"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk"} <= checked, checked
    # Those that have no size at all.
    assert not {"gets", "strcpy", "strcat", "sprintf", "vsprintf", "system",
                "popen"} & elf().names()
    assert "-D_FORTIFY_SOURCE=3" in made_with("HARDEN_CPPFLAGS")


def test_flags_that_leave_no_trace() -> None:
    """Stack clash protection, and variables that start as zero."""
    flags = made_with("HARDEN_CFLAGS").split()
    assert not [flag for flag in FLAGS if flag not in flags], flags


def test_jumps_land_where_they_may() -> None:
    """On x86-64 functions begin with endbr64 (CET). That the file as a whole is marked so is up to
    the C library's start files, which on Debian 12 are not."""
    if platform.machine() != "x86_64":
        assert "-fcf-protection=full" not in made_with("HARDEN_CFLAGS")
        return
    code = [s for s in elf().of(PT_LOAD) if s.flags & PF_X]
    marks = sum(elf().data[s.offset:s.offset + s.size].count(b"\xf3\x0f\x1e\xfa") for s in code)
    assert marks > 300, f"{marks} functions begin with endbr64"
