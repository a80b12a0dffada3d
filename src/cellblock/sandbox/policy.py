"""What a cell may see and do, as one value that can be printed, compared and handed to the template."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

RUNTIME = "/opt/cellblock/runtime"
SHARED_RUNTIME = "/opt/cellblock/shared"  # what RUNTIME is a layer over
CODE = "/opt/cellblock/cell"
HOSTNAME = "cell"
USER = "cell"
USER_ID = 1000
RUNTIME_OWNER_ID = 999

# Every entry of /proc that tells of the host or changes it (the list of the OCI runtimes' defaults, with what newer kernels add).
MASKED_FILES = (
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/sched_debug",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
)
MASKED_DIRECTORIES = ("/proc/acpi", "/proc/asound", "/proc/bus", "/proc/driver", "/proc/fs", "/proc/irq", "/proc/scsi", "/proc/tty")
READ_ONLY = ("/proc/sys",)
WRITABLE = ("/workspace", "/tmp", "/home/cell", "/dev", "/proc", RUNTIME)

# System calls that answer EPERM, by what they would give: see docs/security.md.
_DENIED_GROUPS = {
    "kernel and boot": """kexec_load kexec_file_load reboot init_module finit_module delete_module create_module get_kernel_syms
        query_module iopl ioperm swapon swapoff acct quotactl quotactl_fd syslog lookup_dcookie vm86 vm86old modify_ldt nfsservctl
        vhangup uselib ustat sysfs _sysctl vserver afs_syscall getpmsg putpmsg security tuxcall""",
    "namespaces and mounts": """unshare setns mount umount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount
        fspick mount_setattr open_tree_attr statmount listmount listns""",
    "introspection": """ptrace process_vm_readv process_vm_writev kcmp process_madvise pidfd_getfd perf_event_open bpf userfaultfd
        io_uring_setup io_uring_enter io_uring_register fanotify_init fanotify_mark name_to_handle_at open_by_handle_at""",
    "keys, time and names": """add_key request_key keyctl settimeofday stime clock_settime clock_adjtime adjtimex sethostname
        setdomainname""",
    "placement of memory": "mbind set_mempolicy set_mempolicy_home_node move_pages migrate_pages memfd_secret",
    "choice of processors": "sched_setaffinity",  # sessions could gather on one where another session is, which cannot leave it either
    "one number for the machine": "io_setup",  # fs.aio-max-nr: one cell could take all of it from the host's databases
}
DENIED = tuple(name for names in _DENIED_GROUPS.values() for name in names.split())
ABSENT = ("clone3",)  # ENOSYS, so that libraries fall back to clone, whose flags can be read
NEWEST_REVIEWED = 469  # file_setattr (Linux 6.17); every later number answers ENOSYS
SOCKET_FAMILIES = ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK (NETLINK_ROUTE only)")
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


# The methods of cellblock_cell.confine.Confinement, in the order they run; a start ends when one fails.
STEPS = (
    "become_user",
    "take_namespaces",
    "raise_loopback",
    "offer_ports",
    "close_addresses",
    "mount_process_files",
    "mount_writable_files",
    "describe_network",
    "mount_runtime",
    "hide_scratch",
    "mount_granted_files",
    "set_limits",
    "give_up_rights",
    "fence_files",
    "filter_system_calls",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Barriers that all cells of a server share; sizes are in the limits of each cell."""

    namespaces: tuple[str, ...] = ("user", "pid", "mount", "network", "ipc", "uts", "cgroup")
    steps: tuple[str, ...] = STEPS
    binds: tuple[tuple[str, str], ...]
    links: dict[str, str]
    files: dict[str, str]
    masked_files: tuple[str, ...] = MASKED_FILES
    masked_directories: tuple[str, ...] = MASKED_DIRECTORIES
    read_only: tuple[str, ...] = READ_ONLY
    writable: tuple[str, ...] = WRITABLE
    denied_calls: tuple[str, ...] = DENIED
    absent_calls: tuple[str, ...] = ABSENT
    newest_reviewed_call: int = NEWEST_REVIEWED
    socket_families: tuple[str, ...] = SOCKET_FAMILIES
    personalities: tuple[int, ...] = PERSONALITIES
    landlock: bool = True
    inodes: int = 200_000
    environment: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """The whole policy as JSON, for people and for the test that compares it."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)


# Debian's alternatives and Python site files are links from /usr into /etc
_ETC_FROM_HOST = (
    *("alternatives", "ca-certificates.conf", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types"),
    *("python3", "python3.11", "python3.12", "python3.13", "protocols", "services", "ssl/certs", "ssl/openssl.cnf"),
    *("os-release", "debian_version"),
)
# A name that nobody can register (RFC 6761): installers show it in their errors, and so say why they cannot go on.
_NO_INDEX = "https://network-mode-sandbox-has-no-internet.invalid"
_NOLOGIN = "/nonexistent:/usr/sbin/nologin"
_ETC_FILES = {
    "/etc/passwd": f"root:x:0:0:root:{_NOLOGIN}\nruntime:x:{RUNTIME_OWNER_ID}:{RUNTIME_OWNER_ID}::{_NOLOGIN}\n"
    f"{USER}:x:{USER_ID}:{USER_ID}:Cell:/home/{USER}:/bin/bash\nnobody:x:65534:65534:nobody:{_NOLOGIN}\n",
    "/etc/group": f"root:x:0:\ntty:x:5:\n{USER}:x:{USER_ID}:\nnogroup:x:65534:\n",
    "/etc/hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n",
    "/etc/hostname": f"{HOSTNAME}\n",
    "/etc/resolv.conf": "# this cell has no route to any name server\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "/etc/pip.conf": f"[global]\nindex-url = {_NO_INDEX}/simple\nretries = 0\n",
    "/etc/uv/uv.toml": f'[[index]]\nurl = "{_NO_INDEX}/simple"\ndefault = true\n',
    "/etc/npmrc": f"registry={_NO_INDEX}/\nfetch-retries=0\n",
}


def default_policy(*, runtime: Path, code: Path, base_prefix: str) -> Policy:
    """The policy of a host whose runtime and cell package lie at these paths; `base_prefix` is the runtime's own Python's."""
    top = [Path("/", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")]
    binds = [("/usr", "/usr"), (str(runtime), SHARED_RUNTIME), (str(code), CODE)]
    binds += [(str(path), str(path)) for path in top if path.is_dir() and not path.is_symlink()]
    binds += [(f"/etc/{name}", f"/etc/{name}") for name in _ETC_FROM_HOST if Path("/etc", name).exists()]
    if not Path(base_prefix).is_relative_to("/usr"):
        binds.append((base_prefix, base_prefix))
    links = {str(path): os.readlink(path) for path in top if path.is_symlink()}
    links["/node_modules"] = f"{RUNTIME}/node/node_modules"
    links["/etc/mtab"] = "/proc/self/mounts"
    return Policy(binds=tuple(binds), links=links, files=dict(_ETC_FILES), environment=_environment())


def _environment() -> dict[str, str]:
    """What user code finds in its environment; nothing of the host's."""
    return {
        "HOME": f"/home/{USER}",
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "PATH": f"/home/{USER}/.local/bin:{RUNTIME}/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "VIRTUAL_ENV": RUNTIME,
        "MPLCONFIGDIR": f"{RUNTIME}/matplotlib",
        "MPLBACKEND": "agg",
        "FONTCONFIG_FILE": f"{RUNTIME}/fonts/fonts.conf",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
        "NODE_PATH": f"{RUNTIME}/node/node_modules",
        "NO_UPDATE_NOTIFIER": "1",
        "NPM_CONFIG_GLOBALCONFIG": "/etc/npmrc",
        "UV_HTTP_RETRIES": "0",
    }
