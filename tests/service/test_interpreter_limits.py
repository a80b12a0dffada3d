"""Limits from tags: what was accepted once stays a session's limit as far as the operator still allows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cellblock.errors import ValidationFailed
from cellblock.sessions.interpreter_limits import cell_limits, kept_limits, limits_of
from cellblock.settings.table import MIB, Settings

SETTINGS = Settings(data_dir=Path("/data"), cache_dir=Path("/cache"))
TAGS = {"cellblock:memory-mb": "2048", "cellblock:cpus": "2.5", "cellblock:pids": "300", "cellblock:disk-mb": "1000"}


def test_each_tag_sets_its_limit() -> None:
    limits = limits_of(TAGS, SETTINGS)
    assert (limits.memory_bytes, limits.cpus, limits.process_count, limits.workspace_bytes) == (2048 * MIB, 2.5, 300, 1000 * MIB)
    assert limits.tmp_bytes == SETTINGS.tmp_bytes


def test_no_tags_give_the_defaults() -> None:
    assert limits_of({}, SETTINGS) == kept_limits({}, SETTINGS) == cell_limits(SETTINGS)


def test_a_maximum_that_was_lowered_later_is_what_a_session_gets() -> None:
    lowered = dataclasses.replace(SETTINGS, max_memory_mb=1024)
    assert kept_limits(TAGS, lowered).memory_bytes == 1024 * MIB


def test_a_default_above_the_maximum_may_be_asked_for() -> None:
    generous = dataclasses.replace(SETTINGS, cpus=8.0)
    assert limits_of({"cellblock:cpus": "8"}, generous).cpus == 8.0


def test_every_bad_tag_is_named() -> None:
    with pytest.raises(ValidationFailed) as caught:
        limits_of(dict.fromkeys(TAGS, "none"), SETTINGS)
    assert [field.name for field in caught.value.fields] == [f"tags.{tag}" for tag in TAGS]
