# SPDX-License-Identifier: Apache-2.0
"""Where the shipped files lie: a ROS install, a pip install or a source tree."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import radar_camera_ssl

PACKAGE = 'radar_camera_ssl'


def share_directories() -> list[Path]:
    """Return the folders in which shipped files are looked for, in this order.

    The ament index (a sourced workspace), the source tree (an editable install), the
    environment's `share` (a pip install).
    """
    folders = []
    # There may be no such module, no index (OSError: AMENT_PREFIX_PATH), or no entry in it.
    with contextlib.suppress(ImportError, LookupError, OSError):
        from ament_index_python.packages import get_package_share_directory

        folders.append(Path(get_package_share_directory(PACKAGE)))
    folders.append(Path(radar_camera_ssl.__file__).resolve().parent.parent)
    folders.append(Path(sys.prefix) / 'share' / PACKAGE)
    return folders


def shipped_file(relative: str) -> Path | None:
    """Return the path of a shipped file (`models/points.onnx`), None where it is not found."""
    for folder in share_directories():
        if (folder / relative).is_file():
            return folder / relative
    return None
