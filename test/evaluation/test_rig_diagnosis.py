# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import RadarFrame, Replay, ReplayFrame
from radar_camera_ssl.evaluation.rig_diagnosis import LEAST_MOMENTS, MOMENTS, RigProbe
from radar_camera_ssl.evaluation.rig_estimate import RigEstimate
from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.model_metadata import CameraInput, CubeInput
from radar_camera_ssl.resources import model_path
from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

sys.path.append(str(Path(__file__).parent))

from model_factory import tiny_metadata
from rig_world import HEIGHT, WIDTH, Seer, World, extrinsics

DEG = np.pi / 180


def diagnosed(world: World, seer: Seer, oracle: ProjectionOracle | None = None) -> RigEstimate:
    probe = RigProbe(seer, tiny_metadata(camera=CameraInput(HEIGHT, WIDTH)))
    for frame in world.frames():
        probe.add(frame)
    return probe.finish(oracle)


@pytest.mark.parametrize(
    ('yaw_deg', 'late_ms'), [(0, 0), (-8, 0), (0, 70), (0, -150), (8, 110), (-4, -45)]
)
def test_a_turn_and_a_late_clock_are_found_together(yaw_deg: float, late_ms: float) -> None:
    world = World(yaw_deg * DEG, 1e-3 * late_ms)
    found = diagnosed(world, Seer(world))
    assert found.yaw_learnt is not None
    assert found.delay is not None
    assert found.yaw_learnt.value / DEG == pytest.approx(yaw_deg, abs=0.1)
    assert 1e3 * found.delay.value == pytest.approx(late_ms, abs=3)
    assert found.yaw_stated is None
    assert found.null_because == {}


def test_a_camera_that_has_tilted_is_not_taken_for_a_late_clock() -> None:
    delays_ms = []
    for rows in (0, 1):
        world = World(late_s=0.02, rows=rows)
        found = diagnosed(world, Seer(world))
        assert found.delay is not None
        delays_ms.append(1e3 * found.delay.value)
    assert delays_ms == pytest.approx([20, 20], abs=15)


def test_yaw_is_told_against_the_extrinsics_where_there_are_any() -> None:
    # Turned by 3 degrees, of which the extrinsics know 2.
    world = World(yaw_rad=3 * DEG)
    found = diagnosed(world, Seer(world), extrinsics(2 * DEG))
    assert found.yaw_learnt is not None
    assert found.yaw_stated is not None
    assert found.yaw_learnt.value / DEG == pytest.approx(3, abs=0.1)
    assert found.yaw_stated.value / DEG == pytest.approx(1, abs=0.1)


def test_a_standing_car_tells_the_yaw_and_not_the_time() -> None:
    world = World(yaw_rad=2 * DEG, speed_mps=0.0, frames=300)
    found = diagnosed(world, Seer(world))
    assert found.yaw_learnt is not None
    assert found.yaw_learnt.value / DEG == pytest.approx(2, abs=0.1)
    assert found.delay is None
    assert 'stands' in found.null_because['time_offset_ms']


def test_a_rig_that_the_model_does_not_know_is_not_diagnosed() -> None:
    world = World()
    found = diagnosed(world, Seer(world, best=-1.0))
    assert (found.yaw_learnt, found.delay) == (None, None)
    assert set(found.null_because) == {'yaw_error_deg', 'time_offset_ms'}
    assert 'does not know' in found.null_because['yaw_error_deg']


def test_a_turn_beyond_the_search_is_not_made_up() -> None:
    world = World(yaw_rad=14 * DEG)
    assert diagnosed(world, Seer(world)).yaw_learnt is None


def test_a_short_drive_is_not_diagnosed() -> None:
    world = World(frames=LEAST_MOMENTS - 1)
    found = diagnosed(world, Seer(world))
    assert f'fewer than {LEAST_MOMENTS} moments' in found.null_because['yaw_error_deg']


def test_a_long_drive_costs_no_more_and_holds_no_more() -> None:
    world = World(frames=8 * MOMENTS)
    seer = Seer(world)
    probe = RigProbe(seer, tiny_metadata(camera=CameraInput(HEIGHT, WIDTH)))
    for frame in world.frames():
        probe.add(frame)
        assert len(probe.held) < 2 * MOMENTS
    assert max(len(moment.radar) for moment in probe.held) <= 7
    assert probe.finish(None).moments == pytest.approx(MOMENTS, abs=2)
    assert seer.calls < 18 * MOMENTS + 1200


def test_images_are_held_at_the_model_s_size() -> None:
    world = World(frames=5)
    probe = RigProbe(Seer(world), tiny_metadata(camera=CameraInput(12, 16)))
    for frame in world.frames():
        probe.add(frame)
    assert {moment.image.shape for moment in probe.held} == {(12, 16, 3)}


def test_a_recording_that_starts_over_is_diagnosed_as_one() -> None:
    world = World(yaw_rad=3 * DEG, late_s=0.05, frames=80)
    probe = RigProbe(Seer(world), tiny_metadata(camera=CameraInput(HEIGHT, WIDTH)))
    for _ in range(2):
        for frame in world.frames():
            probe.add(frame)
    found = probe.finish(None)
    assert found.yaw_learnt is not None
    assert found.delay is not None
    assert found.yaw_learnt.value / DEG == pytest.approx(3, abs=0.1)
    assert 1e3 * found.delay.value == pytest.approx(50, abs=3)


def test_of_a_cube_the_yaw_is_found() -> None:
    """One thing straight ahead, which a radar that is turned by 4 degrees sees on its right."""
    cube_input = tiny_metadata('cube').radar
    assert isinstance(cube_input, CubeInput)
    beams = np.linspace(*cube_input.azimuth_rad, 2 * cube_input.shape[1] + 1)[1::2]
    power = 30 * np.exp(-0.5 * ((beams + 4 * DEG) / 0.1) ** 2)
    cube = np.zeros(cube_input.shape, np.float32)
    cube[5, :, 3] = power

    def infer(image: NDArray[np.uint8], radar: RadarFrame) -> Correspondence:
        assert isinstance(radar, np.ndarray)
        place = float(radar[5, :, 3] @ beams / radar[5, :, 3].sum())
        agreement = 1 / (1 + np.exp((place / (3 * DEG)) ** 2 - 4))
        returns = RadarPoints(
            np.ones((1, 3), np.float32), *np.zeros((2, 1), np.float32), np.zeros(1, np.int32)
        )
        none = np.zeros((1, 2), np.float32)
        return Correspondence(none, none[:, 0], none, agreement, returns, 0)

    probe = RigProbe(infer, tiny_metadata('cube'))
    image = np.zeros((240, 320, 3), np.uint8)
    for stamp in range(0, 60 * 10**9, 10**9):
        answer = infer(image, cube)
        probe.add(ReplayFrame(stamp, stamp, image, cube, answer, '', '', stamp, stamp, None))
    found = probe.finish(None)
    assert found.yaw_learnt is not None
    assert found.yaw_learnt.value / DEG == pytest.approx(4, abs=0.2)
    assert found.delay is None
    assert 'cubes' in found.null_because['time_offset_ms']


def test_the_shipped_model_finds_what_was_done_to_a_simulated_drive(tmp_path: Path) -> None:
    yaw_deg, late_ms = 3.0, 60.0
    drive = DriveConfig(
        seed=7111,
        duration_s=10.0,
        camera=CameraConfig(only_near_radar=True),
        compressed=True,
        cube=False,
        ground_truth=False,
    )
    simulate_drive(tmp_path / 'drive', drive)
    model = CorrespondenceModel.load(model_path('points.onnx'))
    probe = RigProbe(model.infer, model.metadata)
    with Recording(tmp_path / 'drive') as recording:
        rig = RecordedRig.of(recording)
        for frame in Replay(recording, model):
            assert isinstance(frame.radar, RadarPoints)
            # A radar that looks further to the left sees things further to the right.
            probe.add(
                replace(
                    frame,
                    radar=turned(frame.radar, -yaw_deg * DEG),
                    radar_stamp=frame.radar_stamp + round(1e6 * late_ms),
                )
            )
        chain = transform_chain(rig.transforms, frame.image_frame_id, frame.radar_frame_id)
    assert rig.intrinsics is not None
    assert chain is not None
    found = probe.finish(ProjectionOracle(rig.intrinsics, chain))
    assert found.yaw_learnt is not None
    assert found.yaw_stated is not None
    assert found.delay is not None
    assert found.yaw_stated.value / DEG == pytest.approx(yaw_deg, abs=1.0)
    assert found.yaw_learnt.value / DEG == pytest.approx(yaw_deg, abs=1.0)
    assert 1e3 * found.delay.value == pytest.approx(late_ms, abs=40)
    for estimate, truth in (
        (found.yaw_stated, yaw_deg * DEG),
        (found.yaw_learnt, yaw_deg * DEG),
        (found.delay, 1e-3 * late_ms),
    ):
        assert abs(estimate.value - truth) < 3 * estimate.deviation
