# SPDX-License-Identifier: Apache-2.0
"""Many drives: those that are not there yet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from .config import DriveConfig
from .drive import simulate_drive


def simulate_missing(drives: Mapping[Path, DriveConfig], workers: int) -> None:
    """Simulate each drive whose bag is not at its path yet, with one bar for all of them.

    .NAME.json beside a bag tells its configuration: a bag of another one is simulated anew,
    and one without is taken as it is. workers: processes that render. Raises what
    `simulate_drive` does; what is complete stays.
    """
    missing = {path: config for path, config in drives.items() if not _holds(path, config)}
    for path, config in tqdm(
        missing.items(), desc='simulating', unit='drive', disable=not missing
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        # In this order: interrupted anywhere, no bag stands beside a configuration not its own.
        shutil.rmtree(path, ignore_errors=True)
        _record(path).write_text(_told(config), encoding='utf-8')
        simulate_drive(path, config, workers=workers)


def _holds(path: Path, config: DriveConfig) -> bool:
    record = _record(path)
    known = record.exists()
    return path.exists() and (not known or record.read_text(encoding='utf-8') == _told(config))


def _record(path: Path) -> Path:
    return path.with_name(f'.{path.name}.json')


def _told(config: DriveConfig) -> str:
    return json.dumps(asdict(config), indent=2) + '\n'
