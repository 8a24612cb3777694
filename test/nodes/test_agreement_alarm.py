# SPDX-License-Identifier: Apache-2.0
"""The shipped model on a simulated drive: one sensor frozen, late or turned sets off the alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_graph import Rig, image_message, radar_message, wait_until

from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.nodes.agreement_watch import AgreementWatch
from radar_camera_ssl.nodes.conversions import bytes_field
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording, read_pairs
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_drive

SETTINGS = Settings()
RADAR_HZ = 5
ONSET_S, DURATION_S = 9.0, 18.0
WITHIN_S = 8.0
ERROR = DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Frame:
    stamp: int
    image: np.ndarray
    radar: RadarPoints


@pytest.fixture(scope='module')
def model() -> CorrespondenceModel:
    return CorrespondenceModel.load(default_model_path())


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    """A car that does not stop, at the model's own image size."""
    bag = tmp_path_factory.mktemp('drive') / 'bag'
    config = DriveConfig(
        seed=9100,
        duration_s=DURATION_S,
        camera=CameraConfig(width=320, height=240, only_near_radar=True),
        radar=RadarConfig(rate_hz=float(RADAR_HZ)),
        cube=False,
        ground_truth=False,
    )
    simulate_drive(bag, config, workers=1)
    with Recording(bag) as recording:
        return [
            Frame(
                pair.radar_stamp,
                decode_image(pair.image).copy(),
                decode_points(pair.radar, ('x', 'y', 'velocity', 'rcs')),
            )
            for pair in read_pairs(recording, 'points', SETTINGS.slop)
        ]


@pytest.fixture(scope='module')
def aligned(drive: list[Frame], model: CorrespondenceModel) -> list[Correspondence]:
    return [model.infer(frame.image, frame.radar) for frame in drive]


@pytest.fixture
def onset(drive: list[Frame]) -> int:
    return next(i for i, f in enumerate(drive) if f.stamp - drive[0].stamp > ONSET_S * 1e9)


def watched(drive: list[Frame], aligned: list[Correspondence]) -> AgreementWatch:
    watch = AgreementWatch()
    for frame, answer in zip(drive, aligned, strict=False):
        watch.add(frame.stamp, frame.image, frame.radar, answer)
    return watch


def test_sensors_that_fit_set_off_nothing(
    drive: list[Frame], aligned: list[Correspondence]
) -> None:
    for end in range(1, len(drive), 5):
        facts = watched(drive[:end], aligned).facts(SETTINGS.agreement_window)
        assert facts.window is None or facts.window >= SETTINGS.agreement_warn
        assert facts.image_frozen_s == facts.radar_frozen_s == 0.0
    assert facts.window is not None


Fault = Callable[[list[Frame], int, int], tuple[np.ndarray, RadarPoints]]
FAULTS: dict[str, Fault] = {
    'camera frozen': lambda drive, onset, i: (drive[onset].image, drive[i].radar),
    'radar frozen': lambda drive, onset, i: (drive[i].image, drive[onset].radar),
    'camera 1 s late': lambda drive, _, i: (drive[i - RADAR_HZ].image, drive[i].radar),
    'radar 1 s late': lambda drive, _, i: (drive[i].image, drive[i - RADAR_HZ].radar),
    'radar turned': lambda drive, _, i: (
        drive[i].image,
        turned(drive[i].radar, np.deg2rad(6.0)),
    ),
    'camera dark': lambda drive, _, i: (drive[i].image // 16, drive[i].radar),
    'radar covered': lambda drive, _, i: (drive[i].image, RadarPoints.empty()),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_sensors_that_no_longer_fit_are_noticed_in_seconds(
    drive: list[Frame],
    aligned: list[Correspondence],
    model: CorrespondenceModel,
    onset: int,
    fault: str,
) -> None:
    watch = watched(drive[:onset], aligned)
    frozen_s = 0.0
    for i in range(onset, len(drive)):
        image, radar = FAULTS[fault](drive, onset, i)
        watch.add(drive[i].stamp, image, radar, model.infer(image, radar))
        facts = watch.facts(SETTINGS.agreement_window)
        frozen_s = max(frozen_s, facts.image_frozen_s, facts.radar_frozen_s)
        assert facts.window is not None
        if facts.window < SETTINGS.agreement_warn:
            break
    assert (drive[i].stamp - drive[onset].stamp) * 1e-9 < WITHIN_S
    assert (frozen_s >= SETTINGS.frozen_after) == fault.endswith('frozen')


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    limits = ('agreement_warn', 'agreement_error', 'frozen_after')
    return make_rig(
        model_path=str(default_model_path()),
        stale_after=60.0,
        **{name: getattr(SETTINGS, name) for name in limits},
    )


def sent(rig: Rig, frame: Frame, image: np.ndarray) -> None:
    message: Any = image_message(frame.stamp, *image.shape[:2])
    message.data = bytes_field(image)
    returns = np.c_[frame.radar.position, frame.radar.velocity, frame.radar.rcs]
    rig.pair(frame.stamp, radar_message(frame.stamp, returns.tolist()), message)


def test_a_camera_that_freezes_is_told_by_the_node(
    rig: Rig, drive: list[Frame], onset: int
) -> None:
    rig.bring_up()
    for i, frame in enumerate(drive):
        # Not faster than the node takes them.
        wait_until(lambda done=i: int(rig.values().get('pairs', 0)) > done - 40, 'no pairs')
        sent(rig, frame, drive[min(i, onset)].image)
        if i == onset:
            rig.value('radar_pending', '0')
            told = {report['agreement'].level for report in rig.reports}
            assert told == {DiagnosticStatus.OK}
    rig.status(ERROR, '[image_frozen for')
    rig.status(ERROR, 'radar and image do not fit together', part='agreement')
