"""Files of the workspace: written whole or not at all, read exactly, never outside."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cell.client import AgentClient, AgentTemplate
from cellblock_cell.link import Frame, Kind, encode

OUTSIDE_PATHS = ["../outside", "a/../../outside", "/etc/passwd", "/", "//etc/passwd", "..", "up/outside", "absolute/outside", "loop/x"]


@pytest.fixture
def outside(agent: AgentClient) -> Path:
    """A file beside the workspace, and links that lead to it."""
    target = agent.workspace.parent / f"{agent.workspace.name}-outside"
    target.mkdir()
    (target / "outside").write_text("secret")
    (agent.workspace / "up").symlink_to(f"../{target.name}")
    (agent.workspace / "absolute").symlink_to(target)
    (agent.workspace / "file").symlink_to(target / "outside")
    (agent.workspace / "loop").symlink_to("loop")
    return target


def one(reply: Any) -> dict[str, Any]:
    (result,) = reply.meta["files"]
    return dict(result)


def names(agent: AgentClient) -> list[str]:
    return sorted(path.name for path in agent.workspace.iterdir())


# writing


def test_written_bytes_are_read_back_exactly(agent: AgentClient) -> None:
    files = {"empty": b"", "every byte": bytes(range(256)) * 100, "large": os.urandom(3_000_001), "deep/er/file.txt": "ünï\n".encode()}
    assert agent.write(files).meta == {"count": 4}
    reply = agent.call("read_files", paths=list(files), limit_bytes=16 << 20)
    assert [bytes(reply.files.get(i, b"")) for i in range(4)] == list(files.values())
    assert [entry["size"] for entry in reply.meta["files"]] == [len(data) for data in files.values()]


def test_hundred_megabytes_are_written(agent: AgentClient) -> None:
    data = os.urandom(1_000_000) * 100
    assert agent.write({"large": data}).meta == {"count": 1}
    assert (agent.workspace / "large").read_bytes() == data


def test_existing_file_is_replaced(agent: AgentClient) -> None:
    agent.write({"a": b"old and longer"})
    agent.write({"a": b"new"})
    assert (agent.workspace / "a").read_bytes() == b"new"
    assert names(agent) == ["a"]


def test_file_has_mode_644_and_directory_755(agent: AgentClient) -> None:
    agent.write({"below/a": b"x"})
    assert oct((agent.workspace / "below/a").stat().st_mode) == "0o100644"
    assert oct((agent.workspace / "below").stat().st_mode) == "0o40755"


def test_thousand_files_in_a_thousand_directories_are_written(agent: AgentClient) -> None:
    assert agent.write({f"d{i}/f": b"%d" % i for i in range(1000)}).meta == {"count": 1000}
    assert (agent.workspace / "d999/f").read_bytes() == b"999"


def test_absolute_path_inside_the_workspace_is_accepted(agent: AgentClient) -> None:
    assert agent.write({f"{agent.workspace}/a": b"x"}).meta == {"count": 1}
    assert agent.file(f"{agent.workspace}/./b/../a").files[0] == b"x"


@pytest.mark.parametrize("path", [*OUTSIDE_PATHS, "", ".", "directory", "directory/", "new/", "a\0b", "plain/x"])
def test_batch_with_one_bad_path_writes_nothing(agent: AgentClient, outside: Path, path: str) -> None:
    (agent.workspace / "directory").mkdir()
    (agent.workspace / "plain").write_text("plain")
    before = names(agent)
    reply = agent.write({"first": b"1", "made/second": b"2", path: b"3"})
    assert reply.error == "bad_path"
    assert names(agent) == before
    assert (outside / "outside").read_text() == "secret"


@pytest.mark.parametrize(("length", "error"), [(254, ""), (255, ""), (256, "bad_path")])
def test_path_may_have_255_characters(agent: AgentClient, length: int, error: str) -> None:
    path = "d/" * 60 + "x" * (length - 120)
    assert agent.write({path: b"x"}).error == error
    assert one(agent.file(path))["error"] == error


def test_name_of_more_than_255_bytes_is_a_bad_path(agent: AgentClient) -> None:
    assert agent.write({"ü" * 200: b"x"}).error == "bad_path"
    assert names(agent) == []


def test_link_as_target_is_replaced_and_not_followed(agent: AgentClient, outside: Path) -> None:
    assert agent.write({"file": b"mine"}).meta == {"count": 1}
    assert (outside / "outside").read_text() == "secret"
    assert not (agent.workspace / "file").is_symlink()


def test_link_inside_the_workspace_is_followed_as_a_directory(agent: AgentClient) -> None:
    (agent.workspace / "real").mkdir()
    (agent.workspace / "link").symlink_to("real")
    assert agent.write({"link/a": b"x"}).meta == {"count": 1}
    assert (agent.workspace / "real/a").read_bytes() == b"x"


def test_fifo_as_target_is_replaced(agent: AgentClient) -> None:
    os.mkfifo(agent.workspace / "fifo")
    assert agent.write({"fifo": b"x"}).meta == {"count": 1}
    assert (agent.workspace / "fifo").read_bytes() == b"x"


def test_last_of_two_files_of_one_path_wins(agent: AgentClient) -> None:
    number = agent.start("write_files", files=[{"path": "a", "size": 0}, {"path": "./a", "size": 0}])
    agent.finish_upload(number)
    assert agent.wait(number).meta == {"count": 2}
    assert names(agent) == ["a"]


def test_batch_that_fails_late_is_taken_back(agent: AgentClient) -> None:
    agent.write({"a": b"old"})
    number = agent.upload({"a": b"new", "b": b"new", "c": b"new"}, end=False)
    agent.call("ping")
    (agent.workspace / "c").mkdir()
    (agent.workspace / "c/x").touch()
    agent.finish_upload(number)
    assert agent.wait(number).error == "bad_path"
    assert names(agent) == ["a", "c"]
    assert (agent.workspace / "a").read_bytes() == b"old"
    assert (agent.workspace / "c/x").exists()


def test_nothing_is_in_place_before_the_end(agent: AgentClient) -> None:
    number = agent.upload({"a": b"x", "b": b"x"}, end=False)
    agent.call("ping")
    assert not {"a", "b"} & set(names(agent))
    agent.finish_upload(number)
    assert agent.wait(number).meta == {"count": 2}


def test_canceled_upload_leaves_nothing(agent: AgentClient) -> None:
    number = agent.upload({"made/a": b"x"}, end=False)
    agent.cancel(number)
    assert agent.wait(number).error == "canceled"
    assert names(agent) == []


def test_file_that_is_shorter_than_announced_is_refused(agent: AgentClient) -> None:
    number = agent.start("write_files", files=[{"path": "a", "size": 5}])
    agent.finish_upload(number)
    assert agent.wait(number).error == "bad_call"
    assert names(agent) == []


def test_full_disk_is_named_and_nothing_is_half_written(template: AgentTemplate, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with template.agent(tmp_path, file_bytes="1000000") as agent:
        reply = agent.write({"made/small": b"x", "large": b"x" * 3_000_000, "old": b"new"})
        assert reply.error == "disk_full"
        assert names(agent) == ["old"]
        assert (tmp_path / "old").read_bytes() == b"old"
        assert agent.write({"small": b"x"}).meta == {"count": 1}


def test_temporary_file_exchanged_for_a_fifo_does_not_stop_the_agent(agent: AgentClient) -> None:
    number = agent.upload({"a": b"", "b": b""}, end=False)
    agent.call("ping")
    for path in agent.workspace.iterdir():
        path.unlink()
        os.mkfifo(path)
    agent.send_file_data(number, 0, b"x")
    agent.finish_upload(number)
    assert agent.wait(number).error == "io"
    assert names(agent) == []


# reading


@pytest.mark.parametrize("path", [*OUTSIDE_PATHS, "file"])
def test_reading_outside_is_refused(agent: AgentClient, outside: Path, path: str) -> None:
    reply = agent.file(path)
    assert one(reply)["error"] in ("bad_path", "missing" if path == "a/../../outside" else "bad_path")
    assert reply.files == {}


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "device"])
def test_what_is_no_regular_file_is_refused_without_being_opened(agent: AgentClient, kind: str) -> None:
    path = agent.workspace / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        make_device(path)
    assert one(agent.file(kind))["error"] == "not_regular"


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs root outside a user namespace: nobody else makes devices")


def test_reading_goes_on_after_a_file_that_cannot_be_read(agent: AgentClient) -> None:
    agent.write({"a": b"1", "b": b"22"})
    reply = agent.call("read_files", paths=["a", "missing", "a/b", "../x", "b"], limit_bytes=100)
    assert [entry["error"] for entry in reply.meta["files"]] == ["", "missing", "missing", "bad_path", ""]
    assert {index: bytes(data) for index, data in reply.files.items()} == {0: b"1", 4: b"22"}


@pytest.mark.parametrize(("size", "error"), [(999, ""), (1000, ""), (1001, "too_large")])
def test_limit_bounds_the_sum_of_what_is_read(agent: AgentClient, size: int, error: str) -> None:
    agent.write({"first": b"x" * 500, "second": b"x" * (size - 500), "tiny": b""})
    reply = agent.call("read_files", paths=["first", "second", "tiny"], limit_bytes=1000)
    first, second, tiny = reply.meta["files"]
    assert (first["error"], second["error"], tiny["error"]) == ("", error, "")
    assert second["size"] == size - 500
    assert len(reply.files.get(1, b"")) == (0 if error else size - 500)


def test_link_to_a_file_of_the_workspace_can_be_read(agent: AgentClient) -> None:
    agent.write({"below/real": b"x"})
    (agent.workspace / "link").symlink_to("below/real")
    assert agent.file("link").files[0] == b"x"


def test_file_without_read_permission_is_denied(agent: AgentClient) -> None:
    agent.write({"a": b"x"})
    (agent.workspace / "a").chmod(0)
    assert one(agent.file("a"))["error"] == "denied"


def test_other_calls_go_on_during_a_large_read(agent: AgentClient) -> None:
    agent.write({"large": b"x" * 12_000_000})
    number = agent.start("read_files", paths=["large"], limit_bytes=16 << 20)
    assert agent.call("ping").meta == {}
    assert len(agent.wait(number).files[0]) == 12_000_000


def test_magic_link_of_proc_is_not_followed(agent: AgentClient) -> None:
    (agent.workspace / "magic").symlink_to("/proc/self/root/etc/passwd")
    assert one(agent.file("magic"))["error"] == "bad_path"


# listing


def test_listing_is_sorted_and_says_what_each_is(agent: AgentClient) -> None:
    agent.write({"b.txt": b"123", "a/x": b"", ".hidden": b"1"})
    os.mkfifo(agent.workspace / "fifo")
    (agent.workspace / "link").symlink_to("b.txt")
    (agent.workspace / "link to directory").symlink_to("a")
    assert [(entry["name"], entry["kind"], entry["size"]) for entry in agent.call("list_files", path="").entries] == [
        (".hidden", "file", 1),
        ("a", "directory", 0),
        ("b.txt", "file", 3),
        ("fifo", "other", 0),
        ("link", "file", 3),
        ("link to directory", "directory", 0),
    ]


def test_link_that_leads_out_is_listed_without_its_target(agent: AgentClient, outside: Path) -> None:
    kinds = {entry["name"]: entry["kind"] for entry in agent.call("list_files", path="").entries}
    assert kinds == {"absolute": "other", "file": "other", "loop": "other", "up": "other"}


def test_names_with_newlines_and_other_bytes_do_not_break_a_listing(agent: AgentClient) -> None:
    root = os.fsencode(agent.workspace)
    for name in (b"two\nlines", b"not utf-8 \xff", b"quote\"'", b"-rf", b" "):
        Path(os.fsdecode(root + b"/" + name)).touch()
    found = [entry["name"] for entry in agent.call("list_files", path=".").entries]
    assert found == [" ", "-rf", "not utf-8 \ufffd", "quote\"'", "two\nlines"]


def test_directory_of_five_thousand_names_is_listed(agent: AgentClient) -> None:
    for i in range(5000):
        (agent.workspace / f"{i:04}{'x' * 200}").touch()
    assert [entry["name"][:4] for entry in agent.call("list_files", path="").entries] == [f"{i:04}" for i in range(5000)]


@pytest.mark.parametrize(
    ("path", "error"),
    [("missing", "missing"), ("file.txt", "not_directory"), ("../", "bad_path"), ("/etc", "bad_path"), ("a\0", "bad_path")],
)
def test_listing_says_what_is_wrong(agent: AgentClient, path: str, error: str) -> None:
    agent.write({"file.txt": b""})
    assert agent.call("list_files", path=path).error == error


# removing


def test_files_links_and_trees_are_removed(agent: AgentClient, outside: Path) -> None:
    agent.write({"a": b"", "tree/b/c/d": b"", "tree/e": b""})
    (agent.workspace / "tree/b/out").symlink_to(outside)
    reply = agent.call("remove_files", paths=["a", "tree/", "up", "file"])
    assert reply.meta == {"removed": 4, "missing": [], "failed": []}
    assert names(agent) == ["absolute", "loop"]
    assert (outside / "outside").read_text() == "secret"


def test_missing_paths_are_named_and_the_others_removed(agent: AgentClient) -> None:
    agent.write({"a": b"", "b": b""})
    assert agent.call("remove_files", paths=["no", "a", "a/b", "b"]).meta == {"removed": 2, "missing": ["no", "a/b"], "failed": []}


@pytest.mark.parametrize("path", ["", ".", "/", "..", "../x", "/etc/passwd", "up/outside", "absolute/outside", "a\0"])
def test_workspace_and_what_is_outside_cannot_be_removed(agent: AgentClient, outside: Path, path: str) -> None:
    agent.write({"kept": b""})
    reply = agent.call("remove_files", paths=[path])
    assert [failure["path"] for failure in reply.meta["failed"]] == [path]
    assert (outside / "outside").exists()
    assert (agent.workspace / "kept").exists()


def test_tree_deeper_than_descriptors_allow_is_removed(agent: AgentClient) -> None:
    code = "import os\nfor _ in range(1500):\n    os.mkdir('deep'); open('file', 'w').close(); os.chdir('deep')"
    assert agent.run(code).meta["exit_code"] == 0
    assert agent.call("remove_files", paths=["deep", "file"]).meta == {"removed": 2, "missing": [], "failed": []}
    assert names(agent) == []


def test_other_calls_go_on_while_a_large_tree_is_removed(agent: AgentClient) -> None:
    agent.run("import os\nos.mkdir('tree')\nfor i in range(20_000): open(f'tree/{i}', 'w').close()")
    number = agent.start("remove_files", paths=["tree"])
    ping = agent.start("ping")
    first = agent.wait_for_any({number, ping})
    assert first == ping
    assert agent.wait(number).meta["removed"] == 1


# streams


def asked(agent: AgentClient, number: int, count: int) -> None:
    agent.link.sendall(encode(Frame(Kind.DATA, number, {"more": count})))


def test_file_leaves_in_the_pieces_that_are_asked_for(agent: AgentClient) -> None:
    (agent.workspace / "a").write_bytes(b"0123456789")
    number = agent.start("read_stream", path="a")
    asked(agent, number, 4)
    agent.call("ping")
    assert agent.pending_pieces(number) == b"0123"
    asked(agent, number, 100)
    assert agent.wait(number).meta == {"size": 10}


def test_stream_that_is_canceled_is_closed(agent: AgentClient) -> None:
    (agent.workspace / "a").write_bytes(b"0123456789")
    before = len(list(Path(f"/proc/{agent.pid}/fd").iterdir()))
    number = agent.start("read_stream", path="a")
    agent.cancel(number)
    assert agent.wait(number).error == "canceled"
    assert len(list(Path(f"/proc/{agent.pid}/fd").iterdir())) == before


def test_stream_of_a_file_that_shrinks_fails(agent: AgentClient) -> None:
    (agent.workspace / "a").write_bytes(b"0123456789")
    number = agent.start("read_stream", path="a")
    asked(agent, number, 4)
    agent.call("ping")
    (agent.workspace / "a").write_bytes(b"")
    asked(agent, number, 100)
    assert agent.wait(number).error == "io"


@pytest.mark.parametrize(("path", "error"), [("none", "missing"), ("../a", "bad_path"), (".", "not_regular")])
def test_stream_of_what_is_no_file_is_refused(agent: AgentClient, path: str, error: str) -> None:
    assert agent.call("read_stream", path=path).error == error


def test_upload_of_unknown_size_ends_where_its_data_ends(agent: AgentClient) -> None:
    number = agent.start("write_files", files=[{"path": "a", "size": -1}])
    agent.send_file_data(number, 0, b"01234")
    agent.send_file_data(number, 0, b"56789")
    agent.finish_upload(number)
    assert agent.wait(number).meta == {"count": 1}
    assert (agent.workspace / "a").read_bytes() == b"0123456789"


def test_upload_that_cannot_be_kept_is_refused_before_its_end(agent: AgentClient) -> None:
    (agent.workspace / "file").touch()
    number = agent.start("write_files", files=[{"path": "file/below", "size": -1}])
    assert agent.wait(number).error == "bad_path"
