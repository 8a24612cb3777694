# SPDX-License-Identifier: Apache-2.0
"""What configuring makes of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from ros_graph import Rig, image_message, radar_message

from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.nodes.session import open_session

SECOND = 10**9
PERIOD = SECOND // 10


@pytest.mark.parametrize('kind', ['points', 'cube'])
def test_without_a_path_the_shipped_model_of_the_radar_is_taken(kind: str) -> None:
    session = open_session(Settings(radar_format=kind), lambda *told: None)
    assert session.model.metadata.radar.kind == kind
    assert Path(session.model_facts['model.path']).name == f'{kind}.onnx'


def test_inference_has_the_threads_it_is_given(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnxruntime.InferenceSession
    threads: list[int] = []

    def opened(model: bytes, options: Any, **rest: Any) -> Any:
        threads.append(options.intra_op_num_threads)
        return real(model, options, **rest)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', opened)
    open_session(Settings(model_path=str(tiny_model), inference_threads=3), lambda *told: None)
    assert set(threads) == {3}


def test_slop_and_queue_size_are_those_of_the_pairing(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(slop=0.01, queue_size=2, stale_after=30.0)
    rig.bring_up()
    for i in range(3):
        rig.radar(radar_message(SECOND + i * PERIOD))
    rig.value('radar_dropped.queue_overflow', '1')
    rig.image(image_message(SECOND + 2 * PERIOD + 30_000_000))
    rig.value('radar_dropped.no_partner', '2')
