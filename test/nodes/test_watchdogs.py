# SPDX-License-Identifier: Apache-2.0
"""The diagnostics go on while everything else is stuck, and say what is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Log
from ros_graph import Rig, wait_until
from sensor_msgs.msg import Image

from radar_camera_ssl.nodes import reflection_heatmap_node
from radar_camera_ssl.nodes.inputs import Inputs
from radar_camera_ssl.nodes.outputs import Outputs
from radar_camera_ssl.nodes.qos import latched
from radar_camera_ssl.nodes.session import Session

MakeRig = Callable[..., Rig]
SECOND = 10**9
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Callers of `hang.wait()` hang until it is set, at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def session_of(rig: Rig) -> Session:
    assert rig.node._session is not None
    return rig.node._session


def test_an_inference_that_hangs_is_told_until_it_answers(
    make_rig: MakeRig, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(inference_timeout=0.2, stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    model = session_of(rig).model
    infer = model.infer

    def hanging(*inputs: Any) -> Any:
        hang.wait()
        return infer(*inputs)

    monkeypatch.setattr(model, 'infer', hanging)
    rig.pair(SECOND)
    message = rig.status(ERROR, 'inference has not answered for').message
    assert '[inference_hangs for' in message
    rig.status(ERROR, 'inference_hangs', part='inference')
    assert rig.values()['stage'] == 'infer'
    # The executor still turns: states can be asked, messages are taken.
    assert rig.lifecycle.state() == 'active'
    before = len(rig.reports)
    wait_until(lambda: len(rig.reports) > before + 5, 'the diagnostics stopped')
    hang.set()
    wait_until(lambda: heatmaps, 'the pair is lost')
    rig.forget()
    rig.status(OK, 'active')


def test_a_callback_that_blocks_the_executor_is_told_until_it_returns(
    make_rig: MakeRig, hang: threading.Event
) -> None:
    rig = make_rig(executor_timeout=0.2, stale_after=30.0)
    rig.bring_up()
    timer = rig.node.create_timer(0.001, lambda: (timer.cancel(), hang.wait()))
    message = rig.status(ERROR, 'no callback has run for').message
    assert '[executor_blocked for' in message
    before = len(rig.reports)
    wait_until(lambda: len(rig.reports) > before + 5, 'the diagnostics stopped')
    hang.set()
    rig.forget()
    rig.status(OK, 'active')


def test_a_transition_that_takes_long_is_told(
    make_rig: MakeRig, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = reflection_heatmap_node.open_session

    def slow(*arguments: Any) -> Session:
        hang.wait()
        return open_session(*arguments)

    monkeypatch.setattr(reflection_heatmap_node, 'open_session', slow)
    rig = make_rig(executor_timeout=0.2, autostart=True, stale_after=30.0)
    message = rig.status(WARN, 'configure has been at work for').message
    assert '[transition_slow for' in message
    assert rig.values()['transition'] == 'configure'
    hang.set()
    rig.status(OK, 'active')


def test_it_speaks_under_simulated_time_that_does_not_run(make_rig: MakeRig) -> None:
    rig = make_rig(use_sim_time=True, stale_after=30.0)
    rig.status(OK, 'unconfigured')
    rig.bring_up()
    rig.status(WARN, '[clock_silent for', part='inputs')


@pytest.mark.parametrize(
    ('transition', 'owner', 'method'),
    [
        ('configure', Outputs, '__init__'),
        ('activate', Inputs, 'open'),
        ('deactivate', Inputs, 'close'),
        ('cleanup', Outputs, 'destroy'),
    ],
)
def test_an_exception_in_a_transition_is_logged_with_its_trace_and_kept(
    make_rig: MakeRig,
    monkeypatch: pytest.MonkeyPatch,
    transition: str,
    owner: type,
    method: str,
) -> None:
    rig = make_rig(stale_after=30.0)
    log: list[Log] = []
    rig.peer.create_subscription(Log, '/rosout', log.append, latched(100))
    path = ['configure', 'activate', 'deactivate', 'cleanup']
    for step in path[: path.index(transition)]:
        assert rig.lifecycle.change(step)

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError('a bug in here')

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, broken)
        assert not rig.lifecycle.change(transition)
    text = f"{transition} failed: 'a bug in here'"
    wait_until(
        lambda: [entry for entry in log if text in entry.msg and 'Traceback' in entry.msg],
        f'no trace of {transition} on /rosout',
    )
    rig.status(ERROR, text)
    assert 'a bug in here' in rig.values()['last_error']
    rig.value('state', rig.lifecycle.state())
    assert rig.is_alive


def test_a_fault_of_the_diagnostics_themselves_is_told(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()

    def broken(_: float) -> None:
        raise ZeroDivisionError('a bug in here')

    with monkeypatch.context() as patched:
        patched.setattr(rig.node._diagnostics, '_snapshot', broken)
        rig.status(ERROR, 'ZeroDivisionError: a bug in here')
    rig.forget()
    rig.status(OK, 'active')
