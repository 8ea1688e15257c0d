"""The system calls that foreign code in a sandbox does not get, as a filter program for the kernel (seccomp-bpf).

Namespaces take the network, the files and the other processes away; this takes away what is left to do harm with: new
processes, sockets of any kind, memory that no limit counts, looking into processes, mounts and the newest doors of the
kernel. Threads stay. A refused call fails with EPERM; `clone3` says ENOSYS, so that the C library asks `clone`, whose
flags can be read. Another architecture than the process's own, and the x32 calls, end the process.

Refused: machines other than x86_64 and aarch64, whose numbers are not known here.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from typing import Final

from federation.errors import Refused

# Numbers of include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl of the Linux kernel.
_EVERYWHERE: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "memfd_secret": 447,
}  # fmt: skip
_X86_64: Final = {
    "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50,
    "socketpair": 53, "fork": 57, "vfork": 58, "kill": 62, "semget": 64, "msgget": 68, "ptrace": 101, "syslog": 103,
    "pivot_root": 155, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166,
    "swapon": 167, "swapoff": 168, "reboot": 169, "init_module": 175, "delete_module": 176, "quotactl": 179,
    "tkill": 200, "clock_settime": 227, "mq_open": 240, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "unshare": 272, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "execveat": 322,
    "userfaultfd": 323,
}  # fmt: skip
_AARCH64: Final = {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89, "unshare": 97,
    "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117,
    "kill": 129, "tkill": 130, "reboot": 142, "settimeofday": 170, "adjtimex": 171, "mq_open": 180, "msgget": 186,
    "semget": 190, "shmget": 194, "shmctl": 195, "shmat": 196, "socket": 198, "socketpair": 199, "bind": 200,
    "listen": 201, "accept": 202, "connect": 203, "add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224,
    "swapoff": 225, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "finit_module": 273, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip
_MACHINES: Final = {  # machine: (audit architecture, number of clone, refused calls)
    "x86_64": (0xC000003E, 56, _X86_64 | _EVERYWHERE),
    "aarch64": (0xC00000B7, 220, _AARCH64 | _EVERYWHERE),
}
_CLONE3: Final = 435
_X32: Final = 0x40000000  # calls of the x32 interface have this bit
_THREAD: Final = 0x00010000  # CLONE_THREAD

_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data; both machines are little-endian
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def program(machine: str) -> bytes:
    """Return the filter for a machine, as `uname -m` names it: struct sock_filter, one after the other.

    Raises:
        Refused: rule "sandbox": the numbers of this machine's calls are not known.
    """
    if machine not in _MACHINES:
        raise Refused(
            f"there is no sandbox for code on a machine of type {machine[:40]!r}",
            rule="sandbox",
            hint=f"known are {', '.join(sorted(_MACHINES))}",
        )
    architecture, clone, refused = _MACHINES[machine]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in sorted(refused.values()):
        steps += _answered(number, _ERROR | errno.EPERM)
    steps += _answered(_CLONE3, _ERROR | errno.ENOSYS)
    steps += [
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_HAS, 1, 0, _THREAD),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _answered(number: int, answer: int) -> Sequence[tuple[int, int, int, int]]:
    return ((_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer))
