from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.tiny import write_tiny_llama

settings.register_profile("untimed", deadline=None)  # tests assert no time
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")
