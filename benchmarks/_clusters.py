"""Clusters of plain processes on this machine with the tests' own PostgreSQL, and clients of their front ends and nodes."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from _serving import REGION
from botocore.config import Config

from cellblock.machine.data_directory import read_credentials

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # which starts PostgreSQL, nodes and front ends as well


@contextmanager
def cluster(nodes: int, **settings: object) -> Iterator[Any]:
    """So many nodes before one front end; it is the tests' Cluster."""
    processes, databases = importlib.import_module("cluster_processes"), importlib.import_module("postgres_server")
    with (
        tempfile.TemporaryDirectory(prefix="cellblock-benchmark-") as directory,
        databases.postgres() as database,
        processes.cluster(Path(directory, "cluster"), database.url(), max_pool_size=0, **settings) as made,
    ):
        (front,) = made.start_front_ends("front")
        made.start_nodes(*(f"node{number + 1}" for number in range(nodes)))
        processes.until(lambda: front.log().count('"event":"node seen"') >= nodes)
        yield made


def client_of(process: Any, connections: int = 10) -> Any:
    """A stock client of one process."""
    key = read_credentials(process.data_dir)
    if key is None:
        raise RuntimeError(f"{process.data_dir} holds no credentials")
    session = boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION)
    return session.client("bedrock-agentcore", endpoint_url=process.url, config=Config(max_pool_connections=connections))
