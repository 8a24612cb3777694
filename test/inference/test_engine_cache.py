# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from radar_camera_ssl.inference.engine_cache import default_cache, device_name, engine_folder
from radar_camera_ssl.inference.errors import ModelError


@pytest.mark.parametrize(
    ('xdg', 'folder'),
    [
        ('/var/cache/drive', '/var/cache/drive/radar_camera_ssl'),
        ('', '/home/driver/.cache/radar_camera_ssl'),
        ('relative/is/ignored', '/home/driver/.cache/radar_camera_ssl'),
    ],
)
def test_the_users_cache(monkeypatch: pytest.MonkeyPatch, xdg: str, folder: str) -> None:
    monkeypatch.setenv('HOME', '/home/driver')
    monkeypatch.setenv('XDG_CACHE_HOME', xdg)
    assert default_cache() == Path(folder)


def gpu(root: Path, slot: str, model: str) -> None:
    folder = root / 'proc' / 'driver' / 'nvidia' / 'gpus' / slot
    folder.mkdir(parents=True)
    (folder / 'information').write_text(f'Model: \t\t {model}\nIRQ:   \t\t 42\n')


def test_the_device_as_its_driver_names_it(tmp_path: Path) -> None:
    assert device_name(tmp_path) == 'unknown-device'
    gpu(tmp_path, '0000:01:00.0', 'NVIDIA RTX 4000 Ada')
    assert device_name(tmp_path) == 'NVIDIA-RTX-4000-Ada'
    gpu(tmp_path, '0000:02:00.0', 'NVIDIA RTX 4000 Ada')
    assert device_name(tmp_path) == 'NVIDIA-RTX-4000-Ada'
    gpu(tmp_path, '0000:03:00.0', 'NVIDIA H200')
    assert device_name(tmp_path) == 'NVIDIA-RTX-4000-Ada+NVIDIA-H200'


def test_a_jetson_by_its_board(tmp_path: Path) -> None:
    board = tmp_path / 'proc' / 'device-tree' / 'model'
    board.parent.mkdir(parents=True)
    board.write_bytes(b'NVIDIA Jetson AGX Orin (64GB)\0')
    assert device_name(tmp_path) == 'NVIDIA-Jetson-AGX-Orin-64GB'


def test_what_an_engine_depends_on_is_in_its_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = engine_folder(tmp_path, 'ab' * 32, 'fp16')
    assert first.name == 'abababababababab-fp16'
    assert engine_folder(tmp_path, 'ab' * 32, 'fp16') == first
    monkeypatch.setattr(onnxruntime, '__version__', '9.9.9')
    assert engine_folder(tmp_path, 'ab' * 32, 'fp16').parent.name == 'onnxruntime-9.9.9'


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(ModelError, match='cannot make the folder of engines') as caught:
        engine_folder(tmp_path / 'file', 'ab' * 32, 'fp16')
    assert caught.value.field == 'engine_cache'
