# SPDX-License-Identifier: Apache-2.0
"""Where the files that ship beside the code are: models, configuration, launch files.

One answer for every way of installing: a source checkout (also `pip install -e` and
`colcon build --symlink-install`), a pip installation and a colcon installation. Standard library
only, so that every room may ask.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = 'radar_camera_ssl'


def share_directory() -> Path:
    """Return the folder that holds `package.xml`, `models/`, `config/` and `launch/`.

    The checkout or the installation that this very code belongs to goes first: a vehicle may
    have another version of the package in an underlay.

    Raises FileNotFoundError naming the folders that were tried.
    """
    tried = []
    for folder in _candidates():
        if (folder / 'package.xml').is_file() and (folder / 'models').is_dir():
            return folder
        tried.append(str(folder))
    raise FileNotFoundError(
        f'the files shared by {PACKAGE} (models, configuration) are in none of: '
        + ', '.join(dict.fromkeys(tried))
    )


def _candidates() -> Iterator[Path]:
    """Yield the folders that may be the share directory, best first."""
    package_folder = Path(__file__).resolve().parent
    yield package_folder.parent
    # lib/python3.X/site-packages below the prefix for pip, also with `--user` and `--target`;
    # local/lib/python3.X/dist-packages or lib/python3.X/site-packages for colcon.
    for parent in package_folder.parents:
        yield parent / 'share' / PACKAGE
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / PACKAGE
    yield Path(sys.prefix) / 'share' / PACKAGE


def model_path(name: str) -> Path:
    """Return the shipped model `name`, with or without its ending: `points` or `points.onnx`.

    Raises FileNotFoundError naming the models that are there.
    """
    models = share_directory() / 'models'
    path = models / (name if name.endswith('.onnx') else f'{name}.onnx')
    if not path.is_file():
        there = ', '.join(sorted(model.name for model in models.glob('*.onnx'))) or 'none'
        raise FileNotFoundError(f'no model {path.name} in {models}; there: {there}')
    return path


def default_model_path() -> Path:
    """Return the shipped model for radar points. Raises FileNotFoundError as `model_path` does."""
    return model_path('points')
