"""The settings of a node that a Ray actor starts: those of the front end, but for what belongs to a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from cellblock.machine.data_directory import prepare_data_directory, prepare_private_file, secrets_key_path
from cellblock.settings.groups.entry import variable
from cellblock.settings.sources import PREFIX
from cellblock.settings.table import Settings, host_environment
from cellblock.settings.values import text_of

NODES_DIRECTORY = "nodes"
# Of a front end: its own address, its own cluster.
NOT_PASSED = frozenset(
    {"host", "port", "unix_socket", "tls_certificate", "tls_key", "public_url", "node_name", "node_url", "cluster", "secrets_key_file"}
)
# What the environment of `ray start` says on a machine wins: machines are not all alike.
OF_THE_MACHINE = ("node_name", "node_url", "node_sessions", "data_dir", "cache_dir", "runtime_python", "uid_base", "uid_count")
_RAYS_OWN = ("RAY_", "OMP_NUM_THREADS")


def passed_settings(settings: Settings) -> dict[str, str]:
    """What the front end's nodes are told, as variables."""
    values = asdict(settings)
    return {variable(name): text_of(value) for name, value in values.items() if name not in NOT_PASSED}


def all_settings(settings: Settings) -> dict[str, str]:
    """Every setting as a variable, for a process beside the front end."""
    return {variable(name): text_of(value) for name, value in asdict(settings).items()}


def node_environment(passed: Mapping[str, str], *, name: str, address: str, secrets_key: bytes) -> dict[str, str]:
    """The environment of the node's process on this machine; its data directory is made, with the key in it."""
    here = host_environment()
    own = {variable(one): here[variable(one)] for one in OF_THE_MACHINE if variable(one) in here}
    found = {key: value for key, value in here.items() if not key.startswith((PREFIX, *_RAYS_OWN))}
    found |= passed
    found |= {variable("host"): address, variable("port"): "0", variable("node_name"): name, variable("cluster"): "manual"}
    found |= own
    base = Path(found[variable("data_dir")])
    data_dir = base / NODES_DIRECTORY / found[variable("node_name")]
    for place in (base, base / NODES_DIRECTORY, data_dir):
        prepare_data_directory(place)
    key_file = secrets_key_path(data_dir)
    prepare_private_file(key_file)
    key_file.write_bytes(secrets_key)
    return found | {variable("data_dir"): str(data_dir)}
