"""Archives: whatever damage a file has, it is refused, or what is unpacked is what was packed."""

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.archive import BrokenArchiveError, Writer, unpack

#: Some of it compresses, and some does not.
CONTENT: Final = {"a.db": bytes(range(256)) * 40 + b"a" * 9_000, "files/1/b": b"", "c": b"c"}


def packed(*, compress: bool) -> bytes:
    target = BytesIO()
    with TemporaryDirectory() as folder, Writer(target, compress=compress) as writer:
        for name, content in CONTENT.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            writer.add_file(name, path)
        writer.finish({"taken_us": 7})
    return target.getvalue()


WHOLE: Final = {compress: packed(compress=compress) for compress in (False, True)}


def unpacked(archive: bytes) -> dict[str, bytes] | None:
    """The files of it; None where it is refused."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "to"
        folder.mkdir()
        (Path(name) / "archive").write_bytes(archive)
        try:
            manifest = unpack(Path(name) / "archive", folder)
        except BrokenArchiveError:
            return None
        assert manifest["taken_us"] == 7
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compress", [False, True])
def test_a_whole_one_has_what_was_packed(compress: bool) -> None:
    assert unpacked(WHOLE[compress]) == CONTENT


@given(st.data(), st.booleans())
def test_a_damaged_one_is_refused_or_has_what_was_packed(data: st.DataObject, compress: bool) -> None:
    whole = bytearray(WHOLE[compress])
    places = st.integers(0, len(whole) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        whole[place] = byte
    if data.draw(st.booleans()):
        del whole[data.draw(places) :]
    assert unpacked(bytes(whole)) in (None, CONTENT)


def test_each_byte_of_a_compressed_one_may_be_damaged() -> None:
    for place in range(0, len(WHOLE[True]), 3):
        damaged = bytearray(WHOLE[True])
        damaged[place] ^= 0xFF
        assert unpacked(bytes(damaged)) in (None, CONTENT), place


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_another_compression_is_refused(compress: Callable[[bytes], bytes]) -> None:
    assert unpacked(compress(WHOLE[False])) is None


@pytest.mark.parametrize(
    "manifest", [b"", b"[" * 100_000, b"{}", b'{"format": 1, "files": [1]}', json.dumps([]).encode()]
)
def test_a_manifest_that_says_nothing_is_refused(manifest: bytes) -> None:
    target = BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        tar.addfile(entry, BytesIO(manifest))
    assert unpacked(target.getvalue()) is None
    assert unpacked(gzip.compress(target.getvalue())) is None
