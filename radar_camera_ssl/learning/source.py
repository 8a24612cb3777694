# SPDX-License-Identifier: Apache-2.0
"""Which version of this source a model comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def source_commit() -> str:
    """The source's commit, marked where it was changed, or 'unknown' for an installed package.

    A repository that the package merely lies in, with a virtual environment say, is not its own.
    """
    try:
        if Path(_git('rev-parse', '--show-toplevel')) / PACKAGE.name == PACKAGE:
            return _git('describe', '--always', '--dirty')
    except (OSError, subprocess.CalledProcessError):
        pass
    return 'unknown'


def _git(*arguments: str) -> str:
    command = ['git', '-C', str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
