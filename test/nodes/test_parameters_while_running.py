# SPDX-License-Identifier: Apache-2.0
"""Every row of the parameter table on a running node: applied at once, or refused, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from model_factory import write_tiny_model
from rclpy.parameter import Parameter
from ros_graph import Rig, image_message, radar_message, wait_until
from sensor_msgs.msg import Image

from radar_camera_ssl.nodes.findings import LEAST_DURATIONS
from radar_camera_ssl.nodes.parameter_table import ANY_TIME, START, UNCONFIGURED, rows_of
from radar_camera_ssl.nodes.parameter_table import Parameter as Row
from radar_camera_ssl.nodes.parameters import Settings

MakeRig = Callable[..., Rig]
SECOND = 10**9
PERIOD = SECOND // 10
WARN, ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR
ROWS = rows_of(Settings)
LOUD_DBSM = 60.0
# Nothing is wrong with a node of these, whatever it gets.
LENIENT: dict[str, Any] = {
    'stale_after': 3600.0,
    'diagnostics_window': 60.0,
    'missing_warn': 1.0,
    'drop_warn': 1.0,
    'inference_timeout': 3600.0,
    'executor_timeout': 3600.0,
    'frozen_after': 3600.0,
    'agreement_window': 60.0,
}
# Of rows whose values a rule of their own checks.
OTHERS: dict[str, Any] = {
    'providers': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    'radar_fields': ['rcs=power'],
    'cube_axes': [0.0, 50.0, -0.5, 0.5, -10.0, 10.0],
    'model_path': '/elsewhere.onnx',
    'engine_cache': '/elsewhere',
}


def another_value(row: Row, present: Any) -> Any:
    """An allowed value that is not the present one."""
    if row.name in OTHERS:
        return OTHERS[row.name]
    if row.choices:
        return next(choice for choice in row.choices if choice != present)
    if isinstance(row.default, bool):
        return not present
    assert row.maximum is not None
    return type(row.default)(row.maximum)


def set_one(rig: Rig, name: str, value: Any) -> Any:
    """Set as `ros2 param set` does: refused or not, with the reason."""
    return rig.node.set_parameters([Parameter(name, value=value)])[0]


def test_what_may_not_be_set_is_refused_with_the_state_to_go_to(make_rig: MakeRig) -> None:
    rig = make_rig()
    names = [name for name, row in ROWS.items() if row.settable != ANY_TIME]
    rig.bring_up()
    for state in ('active', 'inactive'):
        for name in names:
            before = rig.node.get_parameter(name).value
            result = set_one(rig, name, another_value(ROWS[name], before))
            assert not result.successful, name
            assert name in result.reason
            wanted = 'unconfigured (cleanup)' if ROWS[name].settable == UNCONFIGURED else 'start'
            assert wanted in result.reason
            assert rig.node.get_parameter(name).value == before
            assert set_one(rig, name, before).successful, 'what changes nothing is no change'
        if state == 'active':
            assert rig.lifecycle.change('deactivate')
    assert rig.lifecycle.change('cleanup')
    for name in names:
        before = rig.node.get_parameter(name).value
        result = set_one(rig, name, another_value(ROWS[name], before))
        assert result.successful == (ROWS[name].settable == UNCONFIGURED), result.reason


def test_of_several_set_at_once_one_refusal_keeps_all_as_they_were(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    wanted = [Parameter('max_age', value=7.0), Parameter('slop', value=0.02)]
    result = rig.node.set_parameters_atomically(wanted)
    assert not result.successful
    assert 'slop' in result.reason
    assert rig.node.get_parameter('max_age').value != 7.0
    assert rig.node._settings().max_age != 7.0


# What takes effect at once: each prepares a running node, gives a value to set, and says what
# must then be seen.


def pairs(rig: Rig, count: int, start: int = SECOND, step: int = PERIOD) -> None:
    for i in range(count):
        rig.pair(start + i * step, image=image_message(start + i * step, seed=i))
    rig.value('radar_pending', '0')


def moving_radar(stamp: int, seed: int) -> Any:
    """Returns of standing things seen from a car at 10 m/s, each frame with noise of its own."""
    returns = [(10.0 + i, 0.1 * seed, 0.0, -10.0, 5.0 + 0.01 * (i + seed)) for i in range(8)]
    return radar_message(stamp, returns)


def stamp_tolerance(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    def seen() -> bool:
        rig.pair(SECOND)
        return 'radar_dropped.stamp_far_from_clock' in rig.values()

    return 1.0, seen


def max_age(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    start = iter(range(1, 10000))

    def seen() -> bool:
        for _ in range(10):
            rig.pair(next(start) * SECOND)
        return 'radar_dropped.too_old' in rig.values()

    return 0.001, seen


def stale_after(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    return 0.05, lambda: rig.status(ERROR, '[no_pairs')


def max_consecutive_failures(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    loud = radar_message(SECOND, [(10.0, 1.0, 0.5, 0.0, LOUD_DBSM)])
    return 1, lambda: rig.pair(SECOND, loud) or rig.status(ERROR, '1 pairs failed in a row')


def heatmap_resolution(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    heatmaps = rig.hear('output/heatmap', Image)

    def seen() -> bool:
        rig.pair(SECOND)
        wait_until(lambda: heatmaps, 'no heatmap')
        return heatmaps[0].width == 160

    return 'camera', seen


def diagnostics_period(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    rig.node.set_parameters([Parameter('diagnostics_period', value=60.0)])
    # One may be under way.
    count = len(rig.reports) + 1
    return 0.02, lambda: len(rig.reports) > count


def diagnostics_window(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    pairs(rig, 3)
    wait_until(lambda: 'latency_ms.infer.p99' in rig.values(), 'no latency')
    return 0.1, lambda: 'latency_ms.infer.p99' not in rig.values()


def missing_warn(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    pairs(rig, 12)
    pairs(rig, 2, start=4 * SECOND)
    return 0.0, lambda: rig.status(WARN, '[image_missing', part='inputs')


def drop_warn(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    rig.radar(radar_message(0))
    return 0.0, lambda: rig.status(WARN, 'stamp_zero 1', part='pairing')


def latency_warn(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    pairs(rig, LEAST_DURATIONS)
    return ['', 'total=0.000001'], lambda: rig.status(WARN, '[latency_total')


def latency_error(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    pairs(rig, LEAST_DURATIONS)
    return ['infer=0.000001'], lambda: rig.status(ERROR, '[latency_infer')


def inference_timeout(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    release = threading.Event()
    rig.at_close(release.set)
    assert rig.node._session is not None
    rig.node._session.model.infer = lambda *_: release.wait()  # type: ignore[method-assign]
    rig.pair(SECOND)
    return 0.05, lambda: rig.status(ERROR, '[inference_hangs')


def executor_timeout(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    release = threading.Event()
    rig.at_close(release.set)
    timer = rig.node.create_timer(0.001, lambda: (timer.cancel(), release.wait()))
    return 0.05, lambda: rig.status(ERROR, '[executor_blocked')


def agreement_window(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    pairs(rig, 12)
    return 1.0, lambda: rig.values()['agreement.window']


def agreement_warn(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    rig.node.set_parameters([Parameter('agreement_window', value=1.0)])
    pairs(rig, 12)
    return 1.0, lambda: rig.status(WARN, '[agreement_low')


def agreement_error(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    rig.node.set_parameters([Parameter('agreement_window', value=1.0)])
    pairs(rig, 12)
    return 1.0, lambda: rig.status(ERROR, '[agreement_low')


def frozen_after(rig: Rig) -> tuple[Any, Callable[[], Any]]:
    for i in range(12):
        rig.pair(SECOND + i * PERIOD, moving_radar(SECOND + i * PERIOD, i))
    rig.value('published', '12')
    return 0.5, lambda: rig.status(ERROR, '[image_frozen')


EFFECTS = (
    stamp_tolerance,
    max_age,
    stale_after,
    max_consecutive_failures,
    heatmap_resolution,
    diagnostics_period,
    diagnostics_window,
    missing_warn,
    drop_warn,
    latency_warn,
    latency_error,
    inference_timeout,
    executor_timeout,
    agreement_window,
    agreement_warn,
    agreement_error,
    frozen_after,
)


def test_each_row_is_either_refused_or_has_an_effect_here() -> None:
    assert {row.settable for row in ROWS.values()} == {ANY_TIME, UNCONFIGURED, START}
    settable = [name for name, row in ROWS.items() if row.settable == ANY_TIME]
    assert [effect.__name__ for effect in EFFECTS] == settable


@pytest.mark.parametrize('effect', EFFECTS, ids=lambda effect: effect.__name__)
def test_what_may_be_set_at_any_time_takes_effect_at_once(
    make_rig: MakeRig, effect: Callable[[Rig], Any], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / 'throws.onnx', throw_above=LOUD_DBSM - 10.0)
    rig = make_rig(model_path=str(model), **LENIENT)
    rig.bring_up()
    rig.status(DiagnosticStatus.OK, 'active')
    value, seen = effect(rig)
    assert {status.level for status in rig.diagnostics} == {DiagnosticStatus.OK}
    result = set_one(rig, effect.__name__, value)
    assert result.successful, result.reason
    wait_until(seen, lambda: f'no effect: {rig.diagnostics[-1].message} {rig.values()}')
