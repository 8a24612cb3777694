# SPDX-License-Identifier: Apache-2.0
"""Where the engines that TensorRT builds are kept: a folder for all that an engine depends on.

TensorRT takes minutes to build an engine and seconds to load one. ONNX Runtime does not see from
an engine file which weights it was built of, nor does it clear old ones away (its documentation
asks for that whenever the model, ONNX Runtime or the device changes): so each has its own folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import onnxruntime

from .errors import ModelError

_DIGITS_OF_HASH = 16


def default_cache() -> Path:
    """The user's folder for engines: in XDG_CACHE_HOME, or in ~/.cache without it.

    Raises ModelError where the environment names neither (a service has no HOME).
    """
    given = Path(os.environ.get('XDG_CACHE_HOME', ''))
    if not given.is_absolute():  # the standard has relative ones ignored
        if not os.environ.get('HOME'):
            raise ModelError(
                'no folder for engines: neither XDG_CACHE_HOME nor HOME is set; name one by the '
                'parameter engine_cache (--cache on the command line)',
                'engine_cache',
            )
        given = Path(os.environ['HOME']) / '.cache'
    return given / 'radar_camera_ssl'


def engine_folder(cache: Path, model_sha256: str, precision: str) -> Path:
    """Make and return the folder of the engines of a model on this machine.

    CACHE/DEVICE/onnxruntime-VERSION/HASH-PRECISION, by the first digits of the model's SHA-256.
    Raises ModelError where it cannot be made or written.
    """
    hashed = model_sha256[:_DIGITS_OF_HASH]
    folder = cache / device_name() / f'onnxruntime-{onnxruntime.__version__}'
    folder = folder / f'{hashed}-{precision}'
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f'cannot make the folder of engines {folder}: {error.strerror}', 'engine_cache'
        ) from error
    if not os.access(folder, os.W_OK):
        raise ModelError(f'the folder of engines {folder} cannot be written', 'engine_cache')
    return folder


def device_name(root: Path = Path('/')) -> str:
    """The NVIDIA device as the driver names it, fit for a folder's name: `NVIDIA-H200`.

    Several devices are joined; a Jetson has the name of its board. `unknown-device` where the
    driver shows none (as in some containers): engines of two devices may not share a cache then.
    root: of the file system, for tests.
    """
    told = root.glob('proc/driver/nvidia/gpus/*/information')
    names = [_model(path) for path in sorted(told)]
    board = root / 'proc' / 'device-tree' / 'model'
    if not names and board.is_file():
        names = [board.read_text(encoding='utf-8', errors='replace').strip('\0')]
    known = '+'.join(dict.fromkeys(name for name in names if name))
    return re.sub(r'[^\w.+]+', '-', known).strip('-') or 'unknown-device'


def _model(information: Path) -> str:
    text = information.read_text(encoding='utf-8', errors='replace')
    found = re.search(r'^Model:\s*(.+?)\s*$', text, re.MULTILINE)
    return found[1] if found else ''
