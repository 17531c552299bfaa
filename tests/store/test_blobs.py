from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyman.core.errors import StoreError
from journeyman.store.blobs import read_blob, write_blob


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_bytes_come_back(tmp_path: Path, data: bytes) -> None:
    name = write_blob(tmp_path / "blobs", data)
    assert name == hashlib.sha256(data).hexdigest()
    assert read_blob(tmp_path / "blobs", name) == data


def test_a_blob_that_is_there_is_left_alone(tmp_path: Path) -> None:
    name = write_blob(tmp_path, b"adapter")
    before = (tmp_path / name).stat()
    assert write_blob(tmp_path, b"adapter") == name
    assert (tmp_path / name).stat().st_ino == before.st_ino
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_damaged_blob_is_refused_and_written_again(tmp_path: Path) -> None:
    name = write_blob(tmp_path, b"adapter")
    (tmp_path / name).write_bytes(b"adaptor")
    with pytest.raises(StoreError) as caught:
        read_blob(tmp_path, name)
    assert caught.value.code == "JM-804"
    assert caught.value.expected == f"SHA-256 {name}"
    assert "over 7 bytes" in caught.value.got
    assert write_blob(tmp_path, b"adapter") == name
    assert read_blob(tmp_path, name) == b"adapter"


def test_a_missing_blob(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"JM-813 .*this blob is missing") as caught:
        read_blob(tmp_path, "0" * 64)
    assert caught.value.where == str(tmp_path / ("0" * 64))


@pytest.mark.parametrize("name", ["", "../secret", "0" * 63, "G" * 64, "0" * 64 + "\n"])
def test_a_name_that_is_no_hash_never_reaches_the_disk(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="JM-813 this is not a blob's name"):
        read_blob(tmp_path, name)
