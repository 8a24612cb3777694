# SPDX-License-Identifier: Apache-2.0
"""Small drives with exact ground truth, following the bag contract, in a fraction of a second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from block_drive import BlockDrive, write_block_drive


@pytest.fixture
def block_drive(tmp_path: Path) -> Callable[..., Path]:
    """Write a drive of plain blocks: `block_drive('name', seed=1, ...)` returns its path."""

    def write(name: str = 'drive', **options: object) -> Path:
        return write_block_drive(tmp_path / name, BlockDrive(**options))  # type: ignore[arg-type]

    return write
