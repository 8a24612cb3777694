# SPDX-License-Identifier: Apache-2.0
"""Messages that are cut, corrupt, huge, empty of sense, or of another kind than the last."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable

import numpy as np
import pytest
from model_factory import CUBE
from provoked import PERIOD, Drive, Fault, living_image
from rclpy.serialization import serialize_message
from ros_graph import Rig, image_message, radar_message, stamped, wait_until
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from radar_camera_ssl.nodes.conversions import bytes_field, compressed_message
from radar_camera_ssl.sensors.camera import decode_image

MakeRig = Callable[..., Rig]
Bytes = Callable[[bytes, random.Random], bytes]


@pytest.mark.parametrize(
    'spoil',
    [
        lambda good, rng: good[: rng.randrange(len(good))],
        lambda good, rng: rng.randbytes(rng.randrange(300)),
        lambda good, rng: b'',
    ],
    ids=['truncated', 'random', 'empty'],
)
def test_bytes_that_are_no_message(make_rig: MakeRig, fault: Fault, spoil: Bytes) -> None:
    """The middleware throws them away before the node: only the stamps tell of them."""
    drive = Drive(make_rig(stale_after=30.0, diagnostics_window=2.0))
    rng = random.Random(1)

    def mixed() -> None:
        drive.flows(2)
        stamp = drive.next_stamp()
        good = serialize_message(radar_message(stamp))
        drive.rig.talk('input/radar', PointCloud2).publish(spoil(good, rng))
        drive.rig.image(image_message(stamp))

    fault.is_reported(drive.rig, 'radar_missing', meanwhile=mixed)
    fault.counts(drive.rig, 'radar.missing')
    fault.recovers(drive)


@pytest.mark.parametrize('sensor', ['radar', 'image'])
def test_messages_with_flipped_bytes(make_rig: MakeRig, fault: Fault, sensor: str) -> None:
    """Many decode, to nonsense: sizes, encodings, fields and stamps of no sense."""
    drive = Drive(make_rig(stale_after=30.0))
    rng = random.Random(2)
    make = {'radar': radar_message, 'image': image_message}[sensor]
    publisher = drive.rig.talk(f'input/{sensor}', type(make(1)))
    other = {'radar': image_message, 'image': radar_message}[sensor]
    for _ in range(60):
        stamp = drive.next_stamp()
        spoilt = bytearray(serialize_message(make(stamp)))
        for _ in range(3):
            # The header and what describes the data are at its beginning.
            spoilt[rng.randrange(min(200, len(spoilt)))] = rng.randrange(256)
        publisher.publish(bytes(spoilt))
        (drive.rig.radar if sensor == 'image' else drive.rig.image)(other(stamp))
    fault.counts(drive.rig, 'radar_dropped')
    fault.recovers(drive)


def without_end(image: Image) -> Image:
    image.data = image.data[:-1]
    return image


def as_large_as_fields_allow(image: Image) -> Image:
    image.height = image.width = 2**32 - 1
    image.step = 0
    return image


def of_no_encoding(image: Image) -> Image:
    image.encoding = 'rgb3_of_nowhere'
    return image


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (without_end, 'image_truncated'),
        (as_large_as_fields_allow, 'image_truncated'),
        (of_no_encoding, 'image_encoding'),
    ],
)
def test_images_that_lie_about_themselves(
    make_rig: MakeRig, fault: Fault, spoil: Callable[[Image], Image], reason: str
) -> None:
    drive = Drive(make_rig(stale_after=30.0))
    drive.flows()
    for _ in range(3):
        stamp = drive.next_stamp()
        drive.rig.pair(stamp, image=spoil(image_message(stamp)))
    fault.loses(drive.rig, f'radar_dropped.{reason}', 3)
    fault.is_reported(drive.rig, 'radar_drops')
    fault.recovers(drive)


def test_compressed_images_that_ask_for_gigabytes(make_rig: MakeRig, fault: Fault) -> None:
    """Two bytes of a JPEG's header are enough."""
    drive = Drive(make_rig(stale_after=30.0, image_transport='compressed'))
    drive.make_image = compressed
    drive.flows()
    for _ in range(3):
        stamp = drive.next_stamp()
        image = compressed(stamp)
        at = bytes(image.data).index(b'\xff\xc0')
        image.data[at + 5] = image.data[at + 7] = 0xFF
        drive.rig.pair(stamp, image=image)
    fault.loses(drive.rig, 'radar_dropped.image_corrupt', 3)
    fault.is_reported(drive.rig, 'radar_drops')
    fault.recovers(drive)


def compressed(stamp: int) -> CompressedImage:
    image = living_image(stamp)
    return compressed_message(decode_image(image), image.header)


def cut(cloud: PointCloud2) -> PointCloud2:
    cloud.data = cloud.data[:-1]
    return cloud


def of_too_many_points(cloud: PointCloud2) -> PointCloud2:
    cloud.width = cloud.height = 2**32 - 1
    return cloud


def of_unknown_type(cloud: PointCloud2) -> PointCloud2:
    cloud.fields[0].datatype = 99
    return cloud


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (cut, 'points_truncated'),
        (of_too_many_points, 'points_truncated'),
        (of_unknown_type, 'points_datatype'),
    ],
)
def test_clouds_that_lie_about_themselves(
    make_rig: MakeRig, fault: Fault, spoil: Callable[[PointCloud2], PointCloud2], reason: str
) -> None:
    drive = Drive(make_rig(stale_after=30.0))
    drive.flows()
    for _ in range(3):
        stamp = drive.next_stamp()
        drive.rig.pair(stamp, radar=spoil(radar_message(stamp)))
    fault.loses(drive.rig, f'radar_dropped.{reason}', 3)
    fault.is_reported(drive.rig, 'radar_drops')
    fault.recovers(drive)


def test_a_cube_of_nan(make_rig: MakeRig, fault: Fault, tiny_cube_model: object) -> None:
    rig = make_rig(model_path=str(tiny_cube_model), radar_format='cube', stale_after=30.0)
    drive = Drive(rig)
    rows, columns, bins = CUBE.shape

    def cube(stamp: int, power: float | None = None) -> Image:
        message = Image(encoding=f'32FC{bins}', height=rows, width=columns)
        message.step = columns * bins * 4
        power = stamp // PERIOD % 7 if power is None else power
        message.data = bytes_field(np.full(CUBE.shape, power, np.float32))
        return stamped(message, stamp, 'radar')

    stamp = drive.next_stamp()
    rig.pair(stamp, radar=cube(stamp, np.nan))
    fault.loses(rig, 'radar_dropped.cube_not_finite', 1)
    fault.is_reported(rig, 'radar_drops')
    drive.make_radar = cube
    fault.recovers(drive)


def test_resolution_and_encoding_change_on_the_way(make_rig: MakeRig, fault: Fault) -> None:
    drive = Drive(make_rig(stale_after=30.0, heatmap_resolution='camera'))
    formats = [
        ('bgr8', 3, 120, 160),
        ('mono8', 1, 1080, 1920),
        ('rgb8', 3, 48, 64),
        ('bayer_rggb8', 1, 480, 640),
        ('yuv422_yuy2', 2, 120, 160),
        ('bgra8', 4, 3000, 4000),
        ('mono16', 2, 90, 200),
    ]
    for encoding, pixel_bytes, height, width in formats:
        image = Image(encoding=encoding, height=height, width=width, step=width * pixel_bytes)
        image.data = array('B', bytes(height * image.step))
        stamp = drive.next_stamp()
        drive.rig.pair(stamp, image=stamped(image, stamp, 'camera_optical'))
    wait_until(lambda: len(drive.heatmaps) == len(formats), lambda: str(drive.rig.values()))
    sizes = [(heatmap.height, heatmap.width) for heatmap in drive.heatmaps]
    assert sizes == [entry[2:] for entry in formats]
    fault.loses_nothing(drive.rig)
    fault.recovers(drive)


@pytest.mark.parametrize('mark', [np.nan, np.finfo(np.float32).max], ids=['nan', 'largest'])
def test_a_cloud_of_nan(make_rig: MakeRig, fault: Fault, mark: float) -> None:
    drive = Drive(make_rig(stale_after=30.0))
    reflections = drive.rig.hear('output/reflections', PointCloud2)
    stamp = drive.next_stamp()
    drive.rig.pair(stamp, radar=radar_message(stamp, [(mark,) * 5] * 50))
    fault.is_told(drive.rig, 'returns_not_finite', '50')
    wait_until(lambda: drive.heatmaps and reflections, 'no answer to a cloud of NaN')
    assert np.frombuffer(drive.heatmaps[0].data, np.float32).max() < 0.05
    assert reflections[0].width == 0
    fault.loses_nothing(drive.rig)
    fault.recovers(drive)


def test_a_cloud_of_100000_returns(make_rig: MakeRig, fault: Fault) -> None:
    drive = Drive(make_rig(stale_after=30.0))
    reflections = drive.rig.hear('output/reflections', PointCloud2)
    stamp = drive.next_stamp()
    cloud = radar_message(stamp, [])
    points = np.random.default_rng(3).uniform(1, 50, (100_000, 5)).astype('<f4')
    cloud.width, cloud.row_step = len(points), points.nbytes
    cloud.data = bytes_field(points)
    drive.rig.pair(stamp, radar=cloud)
    fault.is_told(drive.rig, 'returns_dropped', str(100_000 - 128))
    wait_until(lambda: reflections, 'no reflections')
    kept = np.frombuffer(reflections[0].data, np.float32).reshape(reflections[0].width, -1)
    assert np.sort(kept[:, 4]).tolist() == np.sort(points[:, 4])[-128:].tolist()
    fault.loses_nothing(drive.rig)
    fault.recovers(drive)
