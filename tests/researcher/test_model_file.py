"""A model's file is written once, and what lies there already stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.researcher import model_file
from federation.errors import Misuse


def test_a_model_is_written_as_it_is_and_its_path_is_told(tmp_path: Path) -> None:
    path = model_file.save(str(tmp_path / "model.safetensors"), b"all of it")
    assert path == tmp_path / "model.safetensors"
    assert path.read_bytes() == b"all of it"


def test_a_file_that_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the first")
    with pytest.raises(Misuse, match=r"model\.safetensors is there already") as caught:
        model_file.save(path, b"another")
    assert caught.value.hint
    assert path.read_bytes() == b"the first"
