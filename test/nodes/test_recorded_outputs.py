# SPDX-License-Identifier: Apache-2.0
"""`evaluate --record` against the node: the same messages in, the same messages out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import row, write_bag
from rclpy.serialization import serialize_message
from ros_graph import Rig, camera_info_message, cloud_message, image_message, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from radar_camera_ssl.evaluation import record
from radar_camera_ssl.evaluation.drive_run import DriveJob, EvaluationOptions, evaluate_drive
from radar_camera_ssl.evaluation.outputs import OutputOptions
from radar_camera_ssl.evaluation.progress import DriveProgress
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.nodes.conversions import compressed_message
from radar_camera_ssl.nodes.output_recorder import type_name
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.messages import typestore
from radar_camera_ssl.sensors.recording import Recording

SECOND = 10**9
OUTPUTS = {
    'output/heatmap': (Image, record.HEATMAP_TOPIC),
    'output/camera_info': (CameraInfo, record.CAMERA_INFO_TOPIC),
    'output/overlay/compressed': (CompressedImage, record.OVERLAY_TOPIC),
    'output/reflections': (PointCloud2, record.REFLECTIONS_TOPIC),
}
# As a driver may have it: doubles, padding, fields of its own, one under a name of the answer's.
DRIVERS_FIELDS = np.dtype(
    {
        'names': ['RCS', 'track', 'x', 'y', 'v_r', 'covariance', 'u'],
        'formats': ['>f8', '>u2', '>f4', '>f4', '>f4', ('>f4', 3), '>f4'],
        'offsets': [0, 8, 12, 16, 20, 24, 36],
        'itemsize': 48,
    }
)


def clouds(stamps: list[int]) -> list[PointCloud2]:
    """Of many returns, of none, and of some that are not finite."""
    rng = np.random.default_rng(0)
    made = []
    for stamp, count in zip(stamps, (40, 0, 7), strict=True):
        cloud = np.zeros(count, DRIVERS_FIELDS)
        for name in ('RCS', 'x', 'y', 'v_r'):
            cloud[name] = rng.uniform(2, 60, count)
        cloud['track'] = np.arange(count)
        cloud['x'][-2:] = np.nan
        made.append(cloud_message(cloud, stamp + 3_000_000))
    return made


def plain(value: Any) -> Any:
    """A message of `rosbags` as nested lists, for comparing."""
    if hasattr(value, '__msgtype__'):
        return [plain(member) for name, member in sorted(vars(value).items())]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ('transport', 'topic'),
    [('raw', '/camera/image_raw'), ('compressed', '/camera/image_raw/jpeg')],
)
def test_what_is_recorded_is_what_the_node_publishes(
    make_rig: Callable[..., Rig], tiny_model: Path, tmp_path: Path, transport: str, topic: str
) -> None:
    stamps = [SECOND + i * SECOND // 10 for i in range(3)]
    images = [image_message(stamp, 480, 640, seed=i) for i, stamp in enumerate(stamps)]
    if transport == 'compressed':
        images = [compressed_message(decode_image(image), image.header) for image in images]
    info = camera_info_message(SECOND, 480, 640)
    rig = make_rig(image_transport=transport)
    rig.bring_up()
    heard = {topic: rig.hear(topic, kind) for topic, (kind, _) in OUTPUTS.items()}
    rig.talk('input/camera_info', CameraInfo).publish(info)
    rig.value('camera_info.received', '1')
    rows = [row('/camera/camera_info', SECOND, info)]
    for stamp, image, cloud in zip(stamps, images, clouds(stamps), strict=True):
        rig.pair(stamp, cloud, image)
        rows.append(row(topic, stamp, image))
        rows.append(row('/radar/points', stamp + 5_000_000, cloud))
    wait_until(
        lambda: all(len(messages) == 3 for messages in heard.values()),
        lambda: f'heard { ({topic: len(messages) for topic, messages in heard.items()}) }',
    )

    bag = write_bag(tmp_path / 'bag', rows)
    outputs = OutputOptions(overlay=False, record=True)
    job = DriveJob(bag, (), EvaluationOptions(), tmp_path / 'part', outputs)
    evaluate_drive(job, CorrespondenceModel.load(tiny_model), DriveProgress(lambda *told: None))
    recorded: dict[str, list[Any]] = {topic: [] for _, topic in OUTPUTS.values()}
    with Recording(tmp_path / 'part' / 'recorded' / 'bag') as recording:
        for name, _, msg in recording.messages(recording.topics):
            recorded[name].append(msg)
    for output, (kind, name) in OUTPUTS.items():
        for published, kept in zip(heard[output], recorded[name], strict=True):
            data = serialize_message(published)
            assert plain(kept) == plain(typestore.deserialize_cdr(data, type_name(kind))), name
