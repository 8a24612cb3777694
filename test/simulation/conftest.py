# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from radar_camera_ssl.simulation import DriveConfig, simulate_drive


@pytest.fixture(scope='session')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a short drive with everything in it."""
    path = tmp_path_factory.mktemp('drives') / 'whole'
    simulate_drive(path, DriveConfig(seed=3, duration_s=2.0))
    return path
