# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from report_sample import sample_metrics

from radar_camera_ssl.evaluation.report.rig import rig_section


def said(**changes: Any) -> str:
    metrics = sample_metrics()
    intervals = changes.pop('confidence_95', {})
    return ''.join(
        rig_section(
            {**metrics, **changes, 'confidence_95': {**metrics['confidence_95'], **intervals}}
        ).itertext()
    )


@pytest.mark.parametrize(
    ('key', 'value', 'interval', 'sentence'),
    [
        ('yaw_error_deg', 1.5, [1.0, 2.0], 'looks 1.50° further to the left than the extrinsics'),
        ('yaw_error_deg', -1.5, [-2.0, -1.0], 'looks 1.50° further to the right than'),
        ('yaw_error_deg', 0.1, [-0.2, 0.4], 'No error beyond the interval'),
        ('time_offset_ms', 12.0, [9.0, 15.0], 'stamps are 12.0 ms later than'),
        ('time_offset_ms', -12.0, [-15.0, -9.0], 'stamps are 12.0 ms earlier than'),
        ('time_offset_ms', 12.0, None, 'nobody knows how sure'),
    ],
)
def test_the_sign_is_told_in_words(
    key: str, value: float, interval: list[float] | None, sentence: str
) -> None:
    rig = {'yaw_measured_against': 'extrinsics', 'moments': 96, 'drives': 2}
    text = said(**{key: value, 'confidence_95': {key: interval}, 'rig': rig})
    assert sentence in text
    assert 'From 96 moments of 2 drives.' in text


def test_without_an_answer_it_says_why() -> None:
    assert 'the car stood' in said(time_offset_ms=None)
