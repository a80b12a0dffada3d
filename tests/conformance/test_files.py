"""writeFiles, readFiles, listFiles and removeFiles: exact bytes, every kind of path, and a clear word for what cannot be done."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile

import pytest

from running_server import Json, ServedSession, file_of, texts

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(59))
MB = 1024 * 1024
FILE_LIMIT = 100_000_000  # the model's, of one blob


def write(session: ServedSession, path: str, data: str | bytes) -> Json:
    return session.invoke("writeFiles", content=[file_of(path, data)])


def read(session: ServedSession, *paths: str) -> list[Json]:
    """The resources of files that must all be there."""
    result = session.invoke("readFiles", paths=list(paths))
    assert result["isError"] is False, result
    return [block["resource"] for block in result["content"]]


def names(session: ServedSession, **where: str) -> list[str]:
    return [block["name"] for block in session.invoke("listFiles", **where)["content"]]


# writeFiles


@pytest.mark.parametrize("count", [1, 2])
def test_write_says_how_many_and_nothing_else(session: ServedSession, count: int) -> None:
    result = session.invoke("writeFiles", content=[file_of(f"f{number}", "x") for number in range(count)])
    assert result == {"content": [{"type": "text", "text": f"Successfully wrote all {count} files"}], "isError": False}


def test_blob_of_67_bytes_stays_67_bytes(session: ServedSession) -> None:
    assert len(PNG) == 67
    write(session, "pixel.png", PNG)
    assert session.command("wc -c < pixel.png")["structuredContent"]["stdout"] == "67"
    assert read(session, "pixel.png")[0]["blob"] == PNG


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(range(256)) * 100, b"\xff\xfe\r\n\n"], ids=["empty", "nul", "all", "odd"])
def test_bytes_are_exact_both_ways(session: ServedSession, data: bytes) -> None:
    write(session, "data.bin", data)
    resource = read(session, "data.bin")[0]
    assert (resource["text"].encode() if "text" in resource else resource["blob"]) == data


@pytest.mark.parametrize("text", ["", "no newline", "newline\n", "a\r\nb\r\n", "\ufeffbom", "日本語 🎉", " \n \n"])
def test_text_is_exact_both_ways(session: ServedSession, text: str) -> None:
    write(session, "text.txt", text)
    assert read(session, "text.txt")[0]["text"] == text


def test_parents_are_created(session: ServedSession) -> None:
    write(session, "a/b/c/d.txt", "deep")
    assert session.printed("print(open('a/b/c/d.txt').read())") == "deep"


def test_existing_file_is_replaced(session: ServedSession) -> None:
    write(session, "f", "a long first content")
    write(session, "f", "short")
    assert read(session, "f")[0]["text"] == "short"


def test_last_of_two_files_with_one_path_stays(session: ServedSession) -> None:
    session.invoke("writeFiles", content=[file_of("f", "first"), file_of("f", "second")])
    assert read(session, "f")[0]["text"] == "second"


def test_absolute_path_inside_the_workspace_is_accepted(session: ServedSession) -> None:
    workspace = session.printed("import os; print(os.getcwd())")
    write(session, f"{workspace}/sub/file.txt", "inside")
    assert read(session, "sub/file.txt")[0]["text"] == "inside"


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/passwd", "/tmp/x", "/", ".", "dir/"])
def test_path_that_leads_out_or_names_no_file_is_refused_and_writes_nothing(session: ServedSession, path: str) -> None:
    result = session.invoke("writeFiles", content=[file_of("good", "x"), file_of(path, "x")])
    assert (result["isError"], path in texts(result)[0]) == (True, True)
    assert names(session) == []


def test_empty_path_is_refused(session: ServedSession) -> None:
    result = write(session, "", "x")
    assert (result["isError"], "empty path" in texts(result)[0]) == (True, True)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("writeFiles", {"content": [{"path": "a\0b", "text": ""}]}),
        ("readFiles", {"paths": ["a\0b"]}),
        ("listFiles", {"path": "a\0b"}),
        ("removeFiles", {"paths": ["a\0b"]}),
    ],
)
def test_nul_in_a_path_is_refused(session: ServedSession, tool: str, arguments: Json) -> None:
    error = session.refused(tool, **arguments)
    assert (error["Error"]["Code"], "NUL" in error["Error"]["Message"]) == ("ValidationException", True)


def test_link_that_leads_out_is_not_written_through(session: ServedSession) -> None:
    session.command("ln -s /tmp out; ln -s /tmp/target file")
    assert write(session, "out/x", "x")["isError"] is True
    write(session, "file", "x")
    assert session.command("test -e /tmp/x || test -e /tmp/target")["structuredContent"]["exitCode"] == 1


def test_batch_is_written_whole_or_not_at_all(session: ServedSession) -> None:
    write(session, "kept", "before")
    session.command("mkdir taken")
    result = session.invoke("writeFiles", content=[file_of("kept", "after"), file_of("new/file", "x"), file_of("taken", "x")])
    assert result["isError"] is True
    assert "taken" in texts(result)[0]
    assert read(session, "kept")[0]["text"] == "before"
    assert names(session) == ["kept", "taken"]


def test_file_in_the_way_of_a_directory_is_named(session: ServedSession) -> None:
    write(session, "a", "a file")
    result = write(session, "a/b", "x")
    assert (result["isError"], "a/b" in texts(result)[0]) == (True, True)


@pytest.mark.root
def test_workspace_is_full_before_the_session_s_memory_is(session: ServedSession) -> None:
    filled = session.command("head -c 600M /dev/zero > big")
    assert "No space left on device" in filled["structuredContent"]["stderr"]
    result = write(session, "more", bytes(MB))
    assert (result["isError"], "disk is full" in texts(result)[0]) == (True, True)
    assert session.invoke("removeFiles", paths=["big"])["isError"] is False
    assert write(session, "more", bytes(MB))["isError"] is False


@pytest.mark.parametrize("file", [{"path": "a"}, {"path": "a", "text": "1", "blob": b"1"}])
def test_file_needs_exactly_one_of_text_and_blob(session: ServedSession, file: Json) -> None:
    assert session.refused("writeFiles", content=[file])["Error"]["Code"] == "ValidationException"


def path_of(length: int) -> str:
    """A path of directories, so that no single name is too long for the file system."""
    path = "/".join(["d" * 49] * (length // 50))
    return path + "/" * (length > len(path)) + "f" * (length - len(path) - 1)


def test_path_of_255_characters_works_in_every_tool(session: ServedSession) -> None:
    path = path_of(255)
    assert len(path) == 255
    assert write(session, path, "far")["isError"] is False
    assert read(session, path)[0]["text"] == "far"
    assert names(session, directoryPath=path.rpartition("/")[0]) == [path.rpartition("/")[2]]
    assert session.invoke("removeFiles", paths=[path])["isError"] is False


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("writeFiles", {"content": [{"path": path_of(256), "text": ""}]}),
        ("readFiles", {"paths": [path_of(256)]}),
        ("listFiles", {"directoryPath": path_of(256)}),
        ("listFiles", {"path": path_of(256)}),
        ("removeFiles", {"paths": [path_of(256)]}),
    ],
)
def test_path_of_256_characters_is_refused_with_the_limit(session: ServedSession, tool: str, arguments: Json) -> None:
    error = session.refused(tool, **arguments)
    assert (error["Error"]["Code"], "255" in error["Error"]["Message"]) == ("ValidationException", True)


def test_single_name_of_255_characters_is_written(session: ServedSession) -> None:
    assert write(session, "n" * 255, "x")["isError"] is False


@pytest.mark.slow
def test_100_mb_are_written_in_one_call_and_stay_exact(session: ServedSession) -> None:
    data = bytes(range(256)) * (FILE_LIMIT // 256)
    assert write(session, "big.bin", data)["isError"] is False
    written = session.command("sha256sum big.bin")["structuredContent"]["stdout"].split()[0]
    assert written == hashlib.sha256(data).hexdigest()


@pytest.mark.slow
def test_one_byte_more_than_100_mb_in_one_file_is_refused_with_the_limit(session: ServedSession) -> None:
    error = session.refused("writeFiles", content=[file_of("big.bin", bytes(FILE_LIMIT + 1))])
    assert error["Error"]["Code"] == "ValidationException"
    assert str(FILE_LIMIT) in error["Error"]["Message"]
    assert names(session) == []


@pytest.mark.slow
def test_more_than_100_mb_in_several_files_is_refused_with_the_limit(session: ServedSession) -> None:
    half = bytes(50 * MB)
    error = session.refused("writeFiles", content=[file_of("a", half), file_of("b", half + b"x")])
    assert error["Error"]["Code"] == "ValidationException"
    assert str(100 * MB) in error["Error"]["Message"]


# readFiles


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "data", "kind", "mime_type"),
    [
        ("data.txt", "hello", "text", "text/plain"),
        ("data.csv", "a,b\n1,2\n", "text", "text/csv"),
        ("data.json", "{}", "text", "application/json"),
        ("page.html", "<p>", "text", "text/html"),
        ("notes.md", "# a", "text", "text/markdown"),
        ("no-ending", "plain", "text", "text/plain"),
        ("script.py", "print(1)", "text", "text/x-python"),
        ("picture.png", PNG, "blob", "image/png"),
        ("picture", PNG, "blob", "image/png"),
        ("book.xlsx", zipped(), "blob", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("archive.zip", b"PK\x03\x04\xff", "blob", "application/zip"),
        ("packed.csv.gz", gzip.compress(b"a" * 1000, mtime=0), "blob", "application/gzip"),
        ("unknown.xyzzy", b"\xff\x00", "blob", "application/octet-stream"),
    ],
)
def test_file_comes_as_text_when_it_is_utf_8_with_its_mime_type(
    session: ServedSession, path: str, data: str | bytes, kind: str, mime_type: str
) -> None:
    write(session, path, data)
    result = session.invoke("readFiles", paths=[path])
    assert result == {
        "content": [{"type": "resource", "resource": {"type": kind, "uri": f"file:///{path}", "mimeType": mime_type, kind: data}}],
        "isError": False,
    }


@pytest.mark.parametrize("path", ["a b.txt", "ü/日本.txt", "100%.txt", "a?b#c.txt", "a:b"])
def test_uri_is_the_path_never_percent_encoded(session: ServedSession, path: str) -> None:
    write(session, path, "x")
    assert read(session, path)[0]["uri"] == f"file:///{path}"


def test_uri_of_an_absolute_path_is_relative_to_the_workspace(session: ServedSession) -> None:
    workspace = session.printed("import os; print(os.getcwd())")
    write(session, "sub/x", "1")
    assert read(session, f"{workspace}/sub/x")[0]["uri"] == "file:///sub/x"


def test_files_come_in_the_order_asked_for(session: ServedSession) -> None:
    session.write(a="1", b="2", c="3")
    assert [resource["text"] for resource in read(session, "c", "a", "b", "a")] == ["3", "1", "2", "1"]


def test_missing_file_is_named_and_the_others_are_returned(session: ServedSession) -> None:
    session.write(here="1")
    result = session.invoke("readFiles", paths=["gone.txt", "here"])
    assert result["isError"] is True
    assert [block["type"] for block in result["content"]] == ["text", "resource"]
    assert "gone.txt" in texts(result)[0]
    assert result["content"][1]["resource"]["text"] == "1"
    assert "structuredContent" not in result


@pytest.mark.parametrize(
    ("make", "path"),
    [
        ("mkfifo thing", "thing"),
        ("mkdir thing", "thing"),
        ("python -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"thing\")'", "thing"),
        ("ln -s /dev/zero thing", "thing"),
        ("ln -s /etc/hostname thing", "thing"),
        ("ln -s thing thing", "thing"),
        ("true", "../../etc/passwd"),
        ("true", "/etc/passwd"),
        ("true", "/dev/null"),
        ("touch thing", "thing/below"),
    ],
)
def test_what_is_not_a_file_of_the_workspace_is_refused_without_being_opened(session: ServedSession, make: str, path: str) -> None:
    session.command(make)
    session.write(here="1")
    result = session.invoke("readFiles", paths=[path, "here"])
    assert result["isError"] is True
    assert path in texts(result)[0]
    assert result["content"][1]["resource"]["text"] == "1"


def test_link_within_the_workspace_is_followed(session: ServedSession) -> None:
    session.command("mkdir real; echo -n 1 > real/f; ln -s real link")
    assert read(session, "link/f")[0]["text"] == "1"


def test_file_over_16_mb_is_named_with_its_size_and_the_limit_and_the_others_come(session: ServedSession) -> None:
    session.command(f"head -c {16 * MB + 1} /dev/zero > big; echo -n 1 > small")
    result = session.invoke("readFiles", paths=["big", "small"])
    assert result["isError"] is True
    (text,) = texts(result)
    assert all(part in text for part in ("big", str(16 * MB + 1), str(16 * MB), "S3", "download"))
    assert result["content"][1]["resource"]["text"] == "1"


def test_16_mb_of_binary_come_in_one_call(session: ServedSession) -> None:
    session.command(f"head -c {16 * MB} /dev/urandom > big")
    assert len(read(session, "big")[0]["blob"]) == 16 * MB


def test_files_that_fit_come_and_the_others_are_named(session: ServedSession) -> None:
    session.command(f"for i in 1 2 3; do head -c {6 * MB} /dev/urandom > f$i; done")
    result = session.invoke("readFiles", paths=["f1", "f2", "f3"])
    assert [block["type"] for block in result["content"]] == ["resource", "resource", "text"]
    assert "f3" in texts(result)[0]


def test_text_whose_escapes_would_burst_the_event_is_named(session: ServedSession) -> None:
    session.command(f"head -c {10 * MB} /dev/zero > nuls")
    result = session.invoke("readFiles", paths=["nuls"])
    assert (result["isError"], "nuls" in texts(result)[0]) == (True, True)


# listFiles


@pytest.mark.parametrize("where", [{}, {"path": ""}, {"directoryPath": ""}, {"directoryPath": "."}, {"path": "."}, {"directoryPath": "./"}])
def test_fresh_workspace_is_empty_however_it_is_named(session: ServedSession, where: dict[str, str]) -> None:
    assert session.invoke("listFiles", **where) == {"content": [], "isError": False}


def test_file_is_a_link_with_its_size(session: ServedSession) -> None:
    write(session, "data.csv", "a,b")
    assert session.invoke("listFiles")["content"] == [
        {"type": "resource_link", "mimeType": "text/csv", "uri": "file:///data.csv", "name": "data.csv", "description": "File", "size": 3}
    ]


def test_directory_is_a_link_without_a_mime_type(session: ServedSession) -> None:
    session.command("mkdir sub.csv")
    assert session.invoke("listFiles")["content"] == [
        {"type": "resource_link", "uri": "file:///sub.csv", "name": "sub.csv", "description": "Directory"}
    ]


@pytest.mark.parametrize("member", ["path", "directoryPath"])
@pytest.mark.parametrize("directory", ["sub/dir", "sub/dir/", "./sub/dir", "sub/../sub/dir"])
def test_one_level_is_listed_with_uris_from_the_workspace(session: ServedSession, member: str, directory: str) -> None:
    session.invoke("writeFiles", content=[file_of("sub/dir/x.txt", "1"), file_of("sub/dir/deeper/y", "2"), file_of("sub/z", "3")])
    links = session.invoke("listFiles", **{member: directory})["content"]
    assert [(link["name"], link["uri"]) for link in links] == [("deeper", "file:///sub/dir/deeper"), ("x.txt", "file:///sub/dir/x.txt")]


def test_hidden_files_are_listed(session: ServedSession) -> None:
    session.command("touch .hidden visible")
    assert names(session) == [".hidden", "visible"]


def test_workspace_stays_empty_when_code_and_commands_only_ran(session: ServedSession) -> None:
    session.printed("import matplotlib.pyplot as plt\nplt.plot([1]); plt.show()")
    session.command("python -c 'import pandas'; pip list")
    assert names(session) == []


@pytest.mark.parametrize("name", ["a\nb", "tab\there", 'quote"', "back\\slash", " leading", "%41", "日本"])
def test_names_of_any_characters_are_listed_and_read(session: ServedSession, name: str) -> None:
    session.printed(f"open({name!r}, 'w').write('x')")
    (link,) = session.invoke("listFiles")["content"]
    assert (link["name"], link["uri"]) == (name, f"file:///{name}")
    assert read(session, name)[0]["text"] == "x"


def test_name_that_is_no_utf_8_is_listed_readably(session: ServedSession) -> None:
    session.printed("open(b'a\\xffb', 'w').close()")
    assert names(session) == ["a\ufffdb"]


def test_links_and_fifos_are_listed(session: ServedSession) -> None:
    session.command("mkfifo fifo; mkdir real; ln -s real to-directory; ln -s nowhere broken; ln -s /etc outside")
    kinds = {link["name"]: link["description"] for link in session.invoke("listFiles")["content"]}
    assert kinds.keys() == {"broken", "fifo", "outside", "real", "to-directory"}
    assert (kinds["to-directory"], kinds["fifo"]) == ("Directory", "File")


@pytest.mark.parametrize("path", ["nowhere", "a/b/c", "file", "..", "/etc", "link"])
def test_what_is_no_directory_of_the_workspace_is_an_error_that_names_it(session: ServedSession, path: str) -> None:
    session.command("touch file; ln -s /etc link")
    result = session.invoke("listFiles", directoryPath=path)
    assert (result["isError"], path in texts(result)[0]) == (True, True)
    assert "structuredContent" not in result


def test_ten_thousand_files_are_listed(session: ServedSession) -> None:
    session.printed("for i in range(10_000):\n    open(f'file-{i:05}', 'w').close()")
    found = names(session)
    assert (len(found), found[0], found[-1]) == (10_000, "file-00000", "file-09999")


# removeFiles


@pytest.mark.parametrize("count", [1, 2])
def test_removal_says_how_many_and_nothing_else(session: ServedSession, count: int) -> None:
    session.write(a="1", b="2")
    result = session.invoke("removeFiles", paths=["a", "b"][:count])
    assert result == {"content": [{"type": "text", "text": f"Successfully removed all {count} files"}], "isError": False}
    assert names(session) == ["a", "b"][count:]


@pytest.mark.parametrize("path", ["output/", "output", "./output//"])
def test_directory_is_removed_with_all_below_it(session: ServedSession, path: str) -> None:
    session.invoke("writeFiles", content=[file_of("output/a/b", "1"), file_of("output/c", "2"), file_of("kept", "3")])
    assert session.invoke("removeFiles", paths=[path])["isError"] is False
    assert names(session) == ["kept"]


def test_missing_path_is_named_and_the_others_are_removed(session: ServedSession) -> None:
    session.write(a="1", b="2")
    result = session.invoke("removeFiles", paths=["a", "never.txt", "b"])
    assert result["isError"] is True
    assert "never.txt" in texts(result)[0]
    assert names(session) == []


@pytest.mark.parametrize("path", ["..", "../x", "/etc/passwd", ".", "/", ""])
def test_what_lies_outside_and_the_workspace_itself_are_not_removed(session: ServedSession, path: str) -> None:
    session.write(kept="1")
    result = session.invoke("removeFiles", paths=[path])
    assert (result["isError"], path in texts(result)[0]) == (True, True)
    assert names(session) == ["kept"]


def test_link_is_removed_and_not_what_it_leads_to(session: ServedSession) -> None:
    session.command("mkdir real; touch real/kept; ln -s real link")
    assert session.invoke("removeFiles", paths=["link"])["isError"] is False
    assert names(session, path="real") == ["kept"]


def test_files_without_rights_are_removed_and_read_by_their_owner_s_tools(session: ServedSession) -> None:
    session.command("mkdir -p locked/below; touch locked/below/f; chmod 555 locked/below; touch secret; chmod 000 secret")
    session.invoke("removeFiles", paths=["locked", "secret"])
    session.command("chmod -R u+rwx locked; rm -rf locked")
    assert names(session) == []


@pytest.mark.parametrize("arguments", [{}, {"path": ""}, {"directoryPath": ""}])
def test_a_workspace_that_code_has_closed_is_named_in_the_listings_error(session: ServedSession, arguments: dict[str, str]) -> None:
    session.command("chmod 000 /workspace")
    listed = session.invoke("listFiles", **arguments)
    assert (listed["isError"], texts(listed)) == (True, ["the workspace: Permission denied"])
