# SPDX-License-Identifier: Apache-2.0
"""Model files that are none, inferences that throw, hang, or never come back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_factory import write_tiny_model
from node_process import StartNode
from provoked import Drive, Fault, living_image
from ros_graph import Rig, radar_message

from radar_camera_ssl.nodes import reflection_heatmap_node

MakeRig = Callable[..., Rig]
LOUD = [(10.0, 1.0, 0.5, 0.0, 60.0)]


@pytest.mark.parametrize(
    'spoil',
    [
        lambda good: b'',
        lambda good: good[: len(good) // 2],
        lambda good: random.Random(4).randbytes(len(good)),
        # The name of what the metadata stands under, and what it says: no longer text.
        lambda good: good.replace(b'radar_camera_ssl', b'\xff' * 16),
        lambda good: good.replace(b'"grid"', b'\xfe\xff\xfe\xff\xfe\xff'),
    ],
    ids=['empty', 'truncated', 'random', 'key', 'metadata'],
)
def test_the_model_is_replaced_by_garbage(
    make_rig: MakeRig, fault: Fault, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = write_tiny_model(tmp_path / 'model.onnx')
    good = path.read_bytes()
    drive = Drive(make_rig(model_path=str(path), stale_after=30.0))
    drive.flows()
    garbage = spoil(good)
    assert garbage != good
    path.write_bytes(garbage)
    # What is loaded is not touched.
    drive.flows()
    fault.loses_nothing(drive.rig)
    for transition, works in (('deactivate', True), ('cleanup', True), ('configure', False)):
        assert drive.rig.lifecycle.change(transition) is works
    assert drive.rig.lifecycle.state() == 'unconfigured'
    fault.is_reported(drive.rig, 'failed')
    assert str(path) in drive.rig.values()['failure']
    path.write_bytes(good)
    began_s = time.monotonic()
    drive.rig.bring_up()
    drive.rig.close_talks()
    drive.heatmaps = drive.hear()
    fault.recovers(drive, began_s=began_s)


def test_an_inference_that_throws(make_rig: MakeRig, fault: Fault, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / 'throws.onnx', throw_above=50.0)
    drive = Drive(make_rig(model_path=str(model), stale_after=30.0))
    drive.flows()
    for _ in range(3):
        stamp = drive.next_stamp()
        drive.rig.pair(stamp, radar_message(stamp, LOUD), living_image(stamp))
    fault.is_reported(drive.rig, 'inference_failing')
    fault.loses(drive.rig, 'radar_dropped.inference_failed', 3)
    fault.recovers(drive)


def test_an_inference_that_hangs_and_comes_back(
    make_rig: MakeRig, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(inference_timeout=0.2, stale_after=30.0, pair_queue_depth=1)
    drive = Drive(rig)
    hang = hangs(rig, monkeypatch)
    drive.pair()
    rig.value('stage', 'infer')
    # The last of these waits.
    for _ in range(4):
        drive.pair()
    fault.loses(rig, 'radar_dropped.worker_busy', 3)
    fault.is_reported(rig, 'inference_hangs')
    hang.set()
    fault.recovers(drive)


def test_deactivating_a_node_whose_inference_hangs(
    make_rig: MakeRig, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up on the worker, and on itself: only the process's end ends such a call."""
    monkeypatch.setattr(reflection_heatmap_node, 'JOIN_TIMEOUT_S', 0.3)
    rig = make_rig(stale_after=30.0)
    drive = Drive(rig)
    hang = hangs(rig, monkeypatch)
    drive.pair()
    rig.value('stage', 'infer')
    assert not rig.lifecycle.change('deactivate')
    assert rig.lifecycle.state() == 'finalized'
    fault.is_reported(rig, 'failed')
    assert 'restart the process' in rig.values()['failure']
    # An answer that comes after all is no longer given out.
    hang.set()
    fault.loses(rig, 'radar_dropped.deactivated', 1)
    assert not drive.heatmaps


def test_ending_a_node_whose_inference_never_returns(
    start_node: StartNode, fault: Fault, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / 'hangs.onnx', hang_above=50.0)
    node = start_node(model_path=str(model), inference_timeout=0.2)
    node.feed(lambda stamp: radar_message(stamp, LOUD))
    node.value('findings', 'inference_hangs')
    fault.is_said('inference_hangs')
    fault.took('ended', node.end())
    assert 'ending all the same' in node.console
    fault.is_said('exit code 0')


def hangs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Make the model hang until the event is set, at the latest when the rig is taken down."""
    event = threading.Event()
    rig.at_close(event.set)
    assert rig.node._session is not None
    model = rig.node._session.model
    infer = model.infer

    def hanging(*inputs: Any) -> Any:
        event.wait()
        return infer(*inputs)

    monkeypatch.setattr(model, 'infer', hanging)
    return event
