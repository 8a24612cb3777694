# SPDX-License-Identifier: Apache-2.0
"""One drive in bags of other kinds, or not whole: the same figures, or what is missing told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_factory import Row, write_rows
from block_drive import START_NS
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.camera import decode_image, encode_jpeg
from radar_camera_ssl.sensors.recording import Recording, stamp_ns

IMAGES = '/camera/image_raw'


def rows_of(bag: Path) -> list[Row]:
    with Recording(bag) as recording:
        return [(t, kind, ns, bytes(data)) for t, kind, ns, data in
                recording.raw_messages(recording.topics)]  # fmt: skip


def figures(bag: Path, model: Path) -> dict[str, Any]:
    """What does not depend on how a drive is stored."""
    metrics = json.loads(json.dumps(evaluate_bags([bag], model, None)))
    for row in (metrics, *metrics['bags']):
        del row['latency_ms']
    del metrics['bags'][0]['fingerprint']
    return metrics


@pytest.fixture
def drive(block_drive: Callable[..., Path]) -> Path:
    return block_drive('drive', seed=1, frames=30)


def test_how_a_bag_is_stored_changes_no_figure(
    drive: Path, tiny_model: Path, tmp_path: Path
) -> None:
    expected = figures(drive, tiny_model)
    rows = rows_of(drive)
    sqlite, mcap = StoragePlugin.SQLITE3, StoragePlugin.MCAP
    bags = [
        write_rows(tmp_path / 'sqlite' / 'drive', rows, sqlite),
        write_rows(tmp_path / 'messages' / 'drive', rows, sqlite, CompressionMode.MESSAGE),
        write_rows(tmp_path / 'file' / 'drive', rows, mcap, CompressionMode.FILE),
        write_rows(tmp_path / 'chunks' / 'drive', rows, mcap, CompressionMode.STORAGE),
    ]
    split = tmp_path / 'split' / 'drive'
    split.mkdir(parents=True)
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        name = f'drive_{number}'
        shutil.move(write_rows(tmp_path / name, part) / f'{name}.mcap', split)
    for bag in (*bags, split):
        assert figures(bag, tiny_model) == expected, bag


def test_messages_recorded_out_of_order_are_paired_by_their_stamps(
    drive: Path, tiny_model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    late = [
        (t, kind, ns + int(rng.uniform(0, 60e6)), data) for t, kind, ns, data in rows_of(drive)
    ]
    rng.shuffle(late)
    for storage in (StoragePlugin.MCAP, StoragePlugin.SQLITE3):
        bag = write_rows(tmp_path / storage.name / 'drive', late, storage)
        assert figures(bag, tiny_model)['pairs'] == 30


def test_stamps_that_jump_back_are_dropped_and_counted(
    drive: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """As a driver gives them whose clock is set while it runs."""
    rows = rows_of(drive)
    jumped = []
    with Recording(drive) as recording:
        for topic, time_ns, msg in recording.messages(recording.topics):
            kind = recording.topics[topic]
            if topic == IMAGES and stamp_ns(msg) > START_NS + 2_000_000_000:
                msg.header.stamp.sec -= 100
            jumped.append((topic, kind, time_ns, messages.serialise(msg)))
    assert len(jumped) == len(rows)
    metrics = figures(write_rows(tmp_path / 'jumped' / 'drive', jumped), tiny_model)
    assert 15 <= metrics['pairs'] <= 21
    dropped = sum(metrics['dropped']['radar'].values())
    assert metrics['pairs'] + dropped == 30


def test_compressed_images_are_evaluated(drive: Path, tiny_model: Path, tmp_path: Path) -> None:
    rows = []
    with Recording(drive) as recording:
        for topic, time_ns, msg in recording.messages(recording.topics):
            kind = recording.topics[topic]
            if topic == IMAGES:
                topic, kind = f'{IMAGES}/compressed', 'sensor_msgs/msg/CompressedImage'
                jpeg = encode_jpeg(decode_image(msg))
                msg = messages.compressed_image(stamp_ns(msg), msg.header.frame_id, jpeg)
            rows.append((topic, kind, time_ns, messages.serialise(msg)))
    expected = figures(drive, tiny_model)
    metrics = figures(write_rows(tmp_path / 'jpeg' / 'drive', rows), tiny_model)
    assert metrics['pairs'] == 30
    for key in ('pointing_accuracy', 'heatmap_ap'):
        assert metrics[key] == pytest.approx(expected[key], abs=0.05)


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_of_a_bag_cut_off_what_is_left_is_evaluated_and_the_rest_is_told(
    drive: Path, tiny_model: Path, tmp_path: Path, storage: StoragePlugin
) -> None:
    bag = write_rows(tmp_path / 'cut' / 'drive', rows_of(drive), storage)
    (bag / 'metadata.yaml').unlink()
    (file,) = bag.iterdir()
    file.write_bytes(file.read_bytes()[: int(0.7 * file.stat().st_size)])
    metrics = figures(bag, tiny_model)
    assert 15 <= metrics['pairs'] <= 22
    assert metrics['pointing_accuracy'] > 0.9
    assert any('not a whole bag' in note for note in metrics['notes'])
    assert any(file.name in note for note in metrics['notes'])
    whole = evaluate_bags([drive, bag], tiny_model, None)
    assert whole['pairs'] == 30 + metrics['pairs']


def test_a_missing_field_is_named(drive: Path, tiny_model: Path, tmp_path: Path) -> None:
    rows = []
    with Recording(drive) as recording:
        for topic, time_ns, msg in recording.messages(recording.topics):
            if topic == '/radar/points':
                msg.fields[3].name = 'doppler_hz'
            rows.append((topic, recording.topics[topic], time_ns, messages.serialise(msg)))
    metrics = figures(write_rows(tmp_path / 'field' / 'drive', rows), tiny_model)
    assert metrics['frames'] == 0
    (note,) = (note for note in metrics['notes'] if 'points_field_missing' in note)
    assert note.startswith('drive: 30 pairs dropped (points_field_missing): radar points lack')
    assert 'doppler_hz' in note
