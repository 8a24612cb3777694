# SPDX-License-Identifier: Apache-2.0
"""What holds for all importers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / 'examples').glob('*_to_bag.py'))


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_examples_help_is_its_documentation(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path), '--help'],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
        env={'PYTHONPATH': str(ROOT), 'PATH': ''},
    )
    for part in (f'.venv/bin/python examples/{path.name}', 'radar_camera_ssl evaluate', 'bag'):
        assert part in done.stdout


def test_every_example_is_in_the_documentation() -> None:
    text = (ROOT / 'docs' / 'IMPORTING.md').read_text(encoding='utf-8')
    assert [path.name for path in EXAMPLES if path.name not in text] == []


def test_the_documentations_own_importer_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / 'docs' / 'IMPORTING.md').read_text(encoding='utf-8')
    program = text.partition('```python\n')[2].partition('```')[0]
    for folder in ('camera', 'radar'):
        (tmp_path / folder).mkdir()
    returns = np.zeros(2, [(name, '<f4') for name in ('x', 'y', 'velocity', 'rcs')])
    for stamp in (1_700_000_000_000_000_000, 1_700_000_000_100_000_000):
        cv2.imwrite(str(tmp_path / 'camera' / f'{stamp}.jpg'), np.zeros((8, 8, 3), np.uint8))
        np.save(tmp_path / 'radar' / f'{stamp}.npy', returns)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert capsys.readouterr().out == '2 images, 2 radar frames with 4 returns\n'
    assert (tmp_path / 'my_drive' / 'metadata.yaml').exists()
