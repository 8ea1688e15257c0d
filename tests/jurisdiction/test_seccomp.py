"""The filter of system calls, run by a small interpreter of its own instructions: what passes, what fails, and how."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from clients.jurisdiction import seccomp
from federation.errors import Refused

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
MACHINES = ("x86_64", "aarch64")
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READ, CLONE = {"x86_64": 0, "aarch64": 63}, {"x86_64": 56, "aarch64": 220}
THREAD = 0x3D0F00  # what glibc's pthread_create asks: CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | ...
FORK = 0x1200011
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def ran(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """Return what the filter answers; classic BPF of linux/filter.h, the five instructions that it uses."""
    of = ARCHITECTURE[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, of, 0, argument, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    value = place = 0
    while True:
        code, yes, no, constant = steps[place]
        place += 1
        match code:
            case 0x20:
                value = struct.unpack_from("<I", data, constant)[0]
            case 0x15:
                place += yes if value == constant else no
            case 0x35:
                place += yes if value >= constant else no
            case 0x45:
                place += yes if value & constant else no
            case 0x06:
                return int(constant)
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_pass_and_processes_do_not(machine: str) -> None:
    assert ran(machine, CLONE[machine], THREAD) == ALLOW
    assert ran(machine, CLONE[machine], FORK) == EPERM
    assert ran(machine, CLONE[machine], FORK | 0x10000000) == EPERM, "nor a user namespace"
    assert ran(machine, 435) == ENOSYS, "glibc then asks clone, whose flags can be read"


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_refused_fails_and_everything_else_passes(machine: str) -> None:
    refused = set(seccomp._MACHINES[machine][2].values())
    assert ran(machine, READ[machine]) == ALLOW
    answers = {number: ran(machine, number) for number in range(500) if number not in (435, CLONE[machine])}
    assert {number for number, answer in answers.items() if answer == EPERM} == refused
    assert {answer for number, answer in answers.items() if number not in refused} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_and_the_calls_of_x32_end_the_process(machine: str) -> None:
    """The same numbers mean other calls there: 32-bit x86 would have passed `socketcall`."""
    assert ran(machine, READ[machine], architecture=0x40000003) == KILL
    assert ran(machine, READ[machine] | 0x40000000) == KILL
    assert ran(machine, 0xFFFFFFFF) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"NOT RUN: numbers of {machine} against the kernel's headers, which are not installed")
    text = HEADERS[machine].read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    _, clone, refused = seccomp._MACHINES[machine]
    assert {name: known.get(name, number) for name, number in refused.items()} == refused
    assert len(set(refused) & set(known)) >= len(refused) - 2, "headers that are older than a call do not know it"
    assert known["clone"] == clone


def test_a_machine_that_is_not_known_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        seccomp.program("riscv64")
    assert refusal.value.rule == "sandbox"
