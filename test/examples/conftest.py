# SPDX-License-Identifier: Apache-2.0
"""The examples' command lines, called in this process: starting Python takes longer than them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / 'examples'
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def run_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run `run_example('name', argument, ...)`; returns what it printed and its exit code."""

    def run(name: str, *arguments: object) -> Done:
        specification = importlib.util.spec_from_file_location(name, EXAMPLES / f'{name}.py')
        assert specification is not None
        assert specification.loader is not None
        example = importlib.util.module_from_spec(specification)
        # Where dataclasses look for the module of their annotations.
        monkeypatch.setitem(sys.modules, name, example)
        specification.loader.exec_module(example)
        command = [name, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', command)
        try:
            code = example.main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return Done(command, code, printed.out, printed.err)

    return run
