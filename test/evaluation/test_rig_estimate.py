# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.rig_estimate import Estimate, RigEstimate, pooled, rig_values

DEG = np.pi / 180

some = st.builds(Estimate, st.floats(-1, 1), st.floats(0.01, 1))


def test_drives_are_weighted_by_what_they_know() -> None:
    together = pooled([Estimate(1.0, 1.0), Estimate(2.0, 2.0)])
    assert together is not None
    assert together.value == pytest.approx((1.0 / 1 + 2.0 / 4) / (1 + 1 / 4))
    assert together.deviation == pytest.approx((1 + 1 / 4) ** -0.5)


def test_drives_that_contradict_each_other_are_not_surer_together() -> None:
    together = pooled([Estimate(-1.0, 0.1), Estimate(1.0, 0.1)])
    assert together is not None
    assert together.value == pytest.approx(0.0)
    assert together.deviation == pytest.approx(1.0)


@given(st.lists(some, min_size=1, max_size=6))
def test_a_pool_lies_among_its_drives_in_any_order(drives: list[Estimate]) -> None:
    together, turned = pooled(drives), pooled(drives[::-1])
    assert together is not None
    assert turned is not None
    values = [drive.value for drive in drives]
    assert min(values) - 1e-9 <= together.value <= max(values) + 1e-9
    assert together.value == pytest.approx(turned.value, abs=1e-9)
    assert together.deviation == pytest.approx(turned.deviation)


def test_one_drive_is_its_own_pool_and_no_drive_is_none() -> None:
    assert pooled([Estimate(0.5, 0.1)]) == Estimate(0.5, pytest.approx(0.1))
    assert pooled([]) is None


def test_figures_come_in_degrees_and_milliseconds_with_their_intervals() -> None:
    drive = RigEstimate(Estimate(3 * DEG, 0.2 * DEG), None, Estimate(0.05, 0.01), 108)
    values = json.loads(json.dumps(rig_values([pickle.loads(pickle.dumps(drive))])))
    assert values['yaw_error_deg'] == pytest.approx(3)
    assert values['time_offset_ms'] == pytest.approx(50)
    assert values['confidence_95']['yaw_error_deg'] == pytest.approx([3 - 0.392, 3 + 0.392])
    assert values['confidence_95']['time_offset_ms'] == pytest.approx([30.4, 69.6])
    assert values['null_because'] == {}
    assert values['rig']['yaw_measured_against'] == 'learnt mounting'
    assert values['rig']['moments'] == 108


def test_extrinsics_go_before_the_learnt_mounting() -> None:
    with_them = RigEstimate(Estimate(3 * DEG, 0.2 * DEG), Estimate(1 * DEG, 0.2 * DEG), None, 50)
    without = RigEstimate(Estimate(3 * DEG, 0.2 * DEG), None, None, 50)
    values = rig_values([without, with_them])
    assert values['yaw_error_deg'] == pytest.approx(1)
    assert values['rig']['yaw_measured_against'] == 'extrinsics'
    assert values['rig']['yaw_against_learnt_deg'] == pytest.approx(3)


def test_what_no_drive_tells_is_none_with_the_reason() -> None:
    stood = RigEstimate(Estimate(0.0, 0.1), null_because={'time_offset_ms': 'the car stood'})
    drove = RigEstimate(Estimate(0.0, 0.1), None, Estimate(0.01, 0.01))
    alone, both = rig_values([stood]), rig_values([stood, drove])
    assert alone['time_offset_ms'] is None
    assert alone['confidence_95']['time_offset_ms'] is None
    assert alone['null_because'] == {'time_offset_ms': 'the car stood'}
    assert both['time_offset_ms'] == pytest.approx(10)
    assert both['null_because'] == {}
