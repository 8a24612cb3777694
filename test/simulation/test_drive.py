# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.radar_cube import CubeAxes, decode_cube
from radar_camera_ssl.sensors.radar_points import decode_points, structured_view
from radar_camera_ssl.sensors.recording import Recording, stamp_ns
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_drive
from radar_camera_ssl.simulation import drive as drive_module
from radar_camera_ssl.simulation.clock import sensor_ticks
from radar_camera_ssl.simulation.cube import cube_axes

SMALL = CameraConfig(width=160, height=120)


def raw(path: Path) -> list[tuple[str, int, bytes]]:
    with Recording(path) as recording:
        return [(topic, time, bytes(data)) for topic, _, time, data in recording.raw_messages()]


def decoded(path: Path, topic: str) -> list:
    with Recording(path) as recording:
        return [message for _, _, message in recording.messages([topic])]


def test_topics_and_types_are_the_contract(drive: Path) -> None:
    with Recording(drive) as recording:
        assert recording.topics == {
            '/camera/image_raw': 'sensor_msgs/msg/Image',
            '/camera/camera_info': 'sensor_msgs/msg/CameraInfo',
            '/radar/points': 'sensor_msgs/msg/PointCloud2',
            '/radar/cube': 'sensor_msgs/msg/Image',
            '/radar/cube_info': 'diagnostic_msgs/msg/DiagnosticStatus',
            '/tf_static': 'tf2_msgs/msg/TFMessage',
            '/ground_truth/instances': 'sensor_msgs/msg/Image',
            '/ground_truth/radar_points': 'sensor_msgs/msg/PointCloud2',
        }


def test_messages_come_in_order_of_arrival(drive: Path) -> None:
    times = [time for _, time, _ in raw(drive)]
    assert times == sorted(times)
    with Recording(drive) as recording:
        sensors = ['/camera/image_raw', '/radar/points', '/radar/cube']
        delays = [time - stamp_ns(message) for _, time, message in recording.messages(sensors)]
    assert min(delays) > 0
    assert max(delays) < 100_000_000


def test_images_points_and_truth_share_stamps(drive: Path) -> None:
    def stamps(topic: str) -> list[int]:
        return [stamp_ns(m) for m in decoded(drive, topic)]

    assert stamps('/camera/image_raw') == stamps('/ground_truth/instances')
    assert stamps('/camera/image_raw') == stamps('/camera/camera_info')
    assert stamps('/radar/points') == stamps('/ground_truth/radar_points')
    assert stamps('/radar/points') == stamps('/radar/cube')


def test_images_and_instances(drive: Path) -> None:
    image = decoded(drive, '/camera/image_raw')[0]
    assert (image.encoding, image.header.frame_id) == ('bgr8', 'camera_optical_frame')
    assert decode_image(image).shape == (480, 640, 3)
    assert decode_image(image).std() > 10
    truth = decoded(drive, '/ground_truth/instances')[0]
    assert (truth.encoding, truth.step, truth.header.frame_id) == (
        '16UC1',
        1280,
        'camera_optical_frame',
    )
    assert truth.data.view('<u2').max() > 0


def test_true_points_are_the_points_and_their_sources(drive: Path) -> None:
    pairs = zip(
        decoded(drive, '/radar/points'),
        decoded(drive, '/ground_truth/radar_points'),
        strict=True,
    )
    sources = 0
    for points, truth in pairs:
        assert points.header.frame_id == truth.header.frame_id == 'radar'
        seen, known = structured_view(points), structured_view(truth)
        assert known.dtype['instance'] == np.uint16
        for name in ('x', 'y', 'z', 'velocity', 'rcs'):
            assert seen.dtype[name] == np.float32
            np.testing.assert_array_equal(seen[name], known[name])
        assert len(decode_points(points)) == len(seen)
        sources += int((known['instance'] > 0).sum())
    assert sources > 0


def test_rig_and_axes_are_in_the_bag(drive: Path) -> None:
    config = DriveConfig()
    with Recording(drive) as recording:
        rig = recording.static_transforms()
        intrinsics = recording.intrinsics()
    chain = transform_chain(rig, 'camera_optical_frame', 'radar')
    assert chain is not None
    # A metre ahead, 0.9 m lower, 0.3 m to the right; the camera looks 2 degrees down.
    assert chain.translation == pytest.approx([0.29, 0.865, 1.033], abs=0.01)
    assert intrinsics is not None
    np.testing.assert_allclose(intrinsics.matrix, config.camera.intrinsics().matrix)
    status = decoded(drive, '/radar/cube_info')[0]
    assert CubeAxes.from_key_values(status.values) == cube_axes(config.radar)
    assert decode_cube(decoded(drive, '/radar/cube')[0]).shape == config.radar.cube_shape


def test_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    config = DriveConfig(seed=5, duration_s=1.0, camera=SMALL)
    for name, workers in (('a', 1), ('b', 1), ('c', 2)):
        simulate_drive(tmp_path / name, config, workers=workers)
    assert raw(tmp_path / 'a') == raw(tmp_path / 'b') == raw(tmp_path / 'c')
    other = DriveConfig(seed=6, duration_s=1.0, camera=SMALL)
    simulate_drive(tmp_path / 'other', other)
    assert raw(tmp_path / 'a') != raw(tmp_path / 'other')


def test_an_option_leaves_the_other_topics_unchanged(tmp_path: Path) -> None:
    whole = DriveConfig(seed=5, duration_s=1.0, camera=SMALL)
    less = DriveConfig(seed=5, duration_s=1.0, camera=SMALL, cube=False, ground_truth=False)
    simulate_drive(tmp_path / 'whole', whole)
    simulate_drive(tmp_path / 'less', less)
    kept = ('/camera/image_raw', '/camera/camera_info', '/radar/points', '/tf_static')
    everything = raw(tmp_path / 'less')
    assert {topic for topic, _, _ in everything} == set(kept)
    assert everything == [row for row in raw(tmp_path / 'whole') if row[0] in kept]


def test_compressed_images_near_radar_frames(tmp_path: Path) -> None:
    camera = CameraConfig(width=160, height=120, only_near_radar=True)
    config = DriveConfig(seed=5, duration_s=1.0, camera=camera, compressed=True, cube=False)
    simulate_drive(tmp_path / 'jpeg', config)
    images = decoded(tmp_path / 'jpeg', '/camera/image_raw/compressed')
    frames = decoded(tmp_path / 'jpeg', '/radar/points')
    assert decode_image(images[0]).shape == (120, 160, 3)
    assert abs(len(images) - len(frames)) <= 1
    for frame in frames:
        gap = min(abs(stamp_ns(frame) - stamp_ns(image)) for image in images)
        assert gap < 0.02e9


def test_rates_jitter_and_dropped_frames() -> None:
    camera, radar = sensor_ticks(DriveConfig(seed=1, duration_s=600.0))
    for ticks, rate, jitter in ((camera, 30.0, 0.0015), (radar, 10.0, 0.002)):
        assert len(ticks.stamp_s) == pytest.approx(600 * rate * 0.98, rel=0.01)
        offset = ticks.stamp_s - ticks.number / rate
        assert np.std(offset) == pytest.approx(jitter, rel=0.15)
        assert (np.diff(ticks.arrival_s) >= 0).all()


def test_a_drive_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    config = DriveConfig(seed=5, duration_s=1.0, camera=SMALL)
    with pytest.raises(KeyboardInterrupt):
        simulate_drive(tmp_path / 'half', config, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_bag(tmp_path: Path) -> None:
    config = DriveConfig(seed=5, duration_s=0.5, camera=SMALL)
    simulate_drive(tmp_path / 'bag', config)
    before = raw(tmp_path / 'bag')

    def fail(done: int, total: int) -> None:
        raise OSError('disk full')

    with pytest.raises(FileExistsError):
        simulate_drive(tmp_path / 'bag', config)
    with pytest.raises(OSError, match='disk full'):
        simulate_drive(tmp_path / 'bag', config, fail, force=True)
    assert raw(tmp_path / 'bag') == before
    simulate_drive(tmp_path / 'bag', config, force=True)
    assert raw(tmp_path / 'bag') == before


def test_force_does_not_delete_what_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis' / 'draft.txt').write_text('years of work')
    with pytest.raises(FileExistsError, match='no bag'):
        simulate_drive(tmp_path / 'thesis', DriveConfig(duration_s=0.5), force=True)
    assert (tmp_path / 'thesis' / 'draft.txt').exists()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: DriveConfig(duration_s=0.0), 'duration'),
        (lambda: DriveConfig(seed=-1), 'seed'),
        (lambda: DriveConfig(density=9.0), 'density'),
        (lambda: DriveConfig(theme='moon'), 'theme'),
        (lambda: CameraConfig(width=0), 'image size'),
        (lambda: CameraConfig(rate_hz=0.0), 'camera rate'),
        (lambda: RadarConfig(azimuth_noise_rad=-1.0), 'azimuth noise'),
        (lambda: RadarConfig(cube_shape=(0, 1, 1)), 'cube sides'),
        (lambda: RadarConfig(jitter_s=1.0), 'jitter'),
    ],
)
def test_bad_configurations_say_what_is_wrong(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_an_empty_road_is_a_valid_drive(tmp_path: Path) -> None:
    config = DriveConfig(seed=2, duration_s=0.5, camera=SMALL, density=0.0)
    summary = simulate_drive(tmp_path / 'empty', config)
    assert summary.sources == 0
    truth = decoded(tmp_path / 'empty', '/ground_truth/radar_points')
    assert all((structured_view(t)['instance'] == 0).all() for t in truth)


def test_worker_refuses_to_work_before_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive_module, '_worker', None)
    with pytest.raises(RuntimeError, match='not started'):
        drive_module._work(drive_module._Job('camera', 0, 0.0, 0))
