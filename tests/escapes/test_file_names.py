"""Names of files are the attacker's text: newlines, bytes that are no text, escapes of terminals, the longest and the emptiest."""

from __future__ import annotations

import pytest

from cellblock.model.calls import FileToWrite, ListFiles, ReadFiles, RemoveFiles, ToolFailed, WriteFiles
from cells import MIB, BenchCell

ODD_NAMES = {
    "newline": "a\nb",
    "frame": '"},{"name":"forged","kind":"file","size":1',
    "escape": "\x1b]0;title\x07\x1b[2J",
    "right to left": "‮txt.exe",
    "backslash": "..\\..\\etc",
    "spaces": "  ",
    "dots": "...",
    "percent": "%2e%2e%2fetc%2fpasswd",
    "option": "--help",
    "255 bytes": "ä" * 127 + "b",
}
NOT_TEXT = b"\xff\xfe\x80name"
PATHS_REFUSED = ("a\0b", "\0", "ä" * 128, "x" * 256, "", ".", "..", "/", "a/..")


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_an_odd_name_is_one_name_for_every_tool(cell: BenchCell, name: str) -> None:
    cell.call(WriteFiles((FileToWrite(name, b"data"),)))
    assert cell.probe("print(os.listdir(b'.'))") == str([name.encode()])
    assert [entry.name for entry in cell.call(ListFiles("")).entries] == [name]
    assert cell.call(ReadFiles(paths=(name,), limit_bytes=MIB)).files[0].data == b"data"
    assert cell.call(RemoveFiles((name,))).removed == 1
    assert cell.call(ListFiles("")).entries == ()


def test_a_name_that_is_no_text_neither_hides_nor_breaks_a_listing(cell: BenchCell) -> None:
    cell.probe(f"open({NOT_TEXT!r}, 'w').close(); open('other', 'w').close()")
    names = {entry.name for entry in cell.call(ListFiles("")).entries}
    assert names == {NOT_TEXT.decode(errors="replace"), "other"}
    assert cell.call(RemoveFiles((".",))).removed == 0
    assert cell.shell("rm -r -- * && echo gone") == "gone"


@pytest.mark.parametrize("path", PATHS_REFUSED, ids=ascii)
def test_a_path_that_names_no_file_is_refused(cell: BenchCell, path: str) -> None:
    with pytest.raises(ToolFailed):
        cell.call(WriteFiles((FileToWrite(path, b"x"),)))
    assert cell.shell("ls -A") == ""


def test_the_longest_names_fill_no_frame(cell: BenchCell) -> None:
    cell.probe("for number in range(2000):\n    open(os.fsencode(f'{number:04}') + b'\\xff' * 251, 'w').close()")
    names = {entry.name for entry in cell.call(ListFiles("")).entries}
    assert len(names) == 2000
    assert {len(name) for name in names} == {255}
