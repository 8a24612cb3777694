# SPDX-License-Identifier: Apache-2.0
"""The node's states and parameters, over DDS."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from model_factory import write_tiny_model
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier
from ros_graph import Rig, radar_message, wait_until
from sensor_msgs.msg import Image

MakeRig = Callable[..., Rig]
SECOND = 10**9


def test_diagnostics_come_in_every_state_and_the_cycle_can_be_repeated(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(stale_after=30.0)
    rig.status(DiagnosticStatus.OK, 'unconfigured')
    for round_ in range(3):
        for transition, state in (('configure', 'inactive'), ('activate', 'active')):
            rig.forget()
            assert rig.lifecycle.change(transition)
            rig.status(DiagnosticStatus.OK, state)
        heatmaps = rig.hear('output/heatmap', Image)
        rig.close_talks()
        rig.pair((1 + round_) * SECOND)
        wait_until(lambda heard=heatmaps: heard, f'no heatmap in round {round_}')
        for transition, state in (('deactivate', 'inactive'), ('cleanup', 'unconfigured')):
            rig.forget()
            assert rig.lifecycle.change(transition)
            rig.status(DiagnosticStatus.OK, state)
    assert rig.lifecycle.change('shutdown')
    assert rig.lifecycle.state() == 'finalized'


def test_with_autostart_it_goes_to_active_by_itself(make_rig: MakeRig) -> None:
    rig = make_rig(autostart=True)
    wait_until(lambda: rig.lifecycle.state() == 'active', 'not active')


def test_an_autostart_that_fails_leaves_the_node_unconfigured(make_rig: MakeRig) -> None:
    rig = make_rig(autostart=True, model_path='/nowhere.onnx')
    rig.status(DiagnosticStatus.ERROR, 'no model file')
    assert rig.lifecycle.state() == 'unconfigured'


def test_what_waits_is_counted_when_the_node_is_deactivated(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    rig.radar(radar_message(SECOND))
    rig.value('radar_pending', '1')
    assert rig.lifecycle.change('deactivate')
    rig.value('radar_dropped.deactivated', '1')
    rig.value('radar_pending', '0')


def test_an_activation_is_judged_by_what_comes_in_it(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0, diagnostics_window=60.0)
    rig.bring_up()
    rig.pair(SECOND)
    rig.radar(radar_message(2 * SECOND))
    rig.value('radar_pending', '1')
    rig.value('agreement.pairs', '1')
    assert rig.lifecycle.change('deactivate')
    assert rig.lifecycle.change('activate')
    rig.forget()
    rig.value('agreement.pairs', '0')
    assert {report['perception'].level for report in rig.reports} == {DiagnosticStatus.OK}
    # The account goes on.
    assert rig.values()['radar_dropped.deactivated'] == '1'


def test_an_activation_inherits_no_failure_and_no_latency(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / 'throws.onnx', throw_above=50.0)
    rig = make_rig(
        model_path=str(model),
        stale_after=30.0,
        diagnostics_window=60.0,
        max_consecutive_failures=2,
        latency_warn=['infer=0.000001'],
    )
    loud = [(10.0, 1.0, 0.5, 0.0, 60.0)]
    for second in (1, 2):
        rig.bring_up()
        rig.pair(second * SECOND)
        rig.value('published', str(second))
        stamp = second * SECOND + SECOND // 2
        rig.pair(stamp, radar=radar_message(stamp, loud))
        rig.value('radar_dropped.inference_failed', str(second))
        rig.status(DiagnosticStatus.WARN, 'failed in a row')
        assert rig.lifecycle.change('deactivate')
        rig.close_talks()
        assert rig.lifecycle.change('activate')
        rig.forget()
        rig.value('consecutive_failures', '0')
        assert {report['perception'].level for report in rig.reports} == {DiagnosticStatus.OK}
        assert 'latency_ms.infer.median' not in rig.values()
        assert not rig.values()['gap_ms.median']
        assert rig.lifecycle.change('deactivate')


def test_an_impossible_transition_is_refused_and_the_node_lives(make_rig: MakeRig) -> None:
    rig = make_rig()
    client = rig.peer.create_client(ChangeState, f'{rig.name}/change_state')
    assert client.wait_for_service(10.0)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    answer = client.call_async(request)
    wait_until(answer.done, 'no answer')
    assert not answer.result().success
    assert rig.lifecycle.state() == 'unconfigured'
    assert rig.is_alive


def sensor_topics(rig: Rig) -> list[str]:
    """Inputs and outputs that the node subscribes to or publishes."""
    ours = ('reflection_heatmap', rig.namespace)
    found = rig.node.get_publisher_names_and_types_by_node(*ours)
    found += rig.node.get_subscriber_names_and_types_by_node(*ours)
    return [name for name, _ in found if '/output/' in name or '/input/' in name]


@pytest.mark.skipif(
    'fastrtps' not in get_rmw_implementation_identifier(),
    reason='other middlewares let a node have two types on one topic',
)
@pytest.mark.parametrize(
    ('rule', 'transitions'),
    [
        ('~/output/reflections:=~/output/overlay', ['configure', 'configure']),
        ('~/input/radar:=~/input/image', ['configure', 'activate']),
    ],
)
def test_two_types_on_one_topic_fail_and_leave_nothing_behind(
    make_rig: MakeRig, rule: str, transitions: list[str]
) -> None:
    rig = make_rig(remappings=[rule])
    for transition in transitions:
        rig.lifecycle.change(transition)
    rig.status(DiagnosticStatus.ERROR, f'{transitions[-1]} failed')
    assert rig.lifecycle.state() == 'unconfigured'
    assert sensor_topics(rig) == []


# Parameters


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('slop', -1.0, ''),
        ('max_age', float('nan'), ''),
        ('radar_format', 'lidar', 'none of points'),
        ('radar_fields', ['rcs'], 'ours=theirs'),
        ('cube_axes', [1.0, 2.0], 'six finite limits'),
        ('providers', [''], 'at least one'),
        ('heatmap_resolution', 'huge', 'none of grid'),
        ('queue_size', 0, ''),
        ('slop', 'text', ''),
    ],
)
def test_a_set_of_a_wrong_value_is_refused_with_a_reason(
    make_rig: MakeRig, name: str, value: object, reason: str
) -> None:
    rig = make_rig()
    before = rig.node.get_parameter(name).value
    result = rig.node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert result.reason
    assert reason in result.reason
    assert rig.node.get_parameter(name).value == before


def test_what_is_read_at_configure_cannot_change_after_it(make_rig: MakeRig) -> None:
    rig = make_rig()
    assert rig.node.set_parameters([Parameter('slop', value=0.02)])[0].successful
    rig.bring_up()
    result = rig.node.set_parameters([Parameter('slop', value=0.03)])[0]
    assert not result.successful
    assert 'cleanup' in result.reason
    assert rig.node.set_parameters([Parameter('max_age', value=0.2)])[0].successful


@pytest.mark.parametrize(
    ('name', 'value'), [('radar_format', 'lidar'), ('slop', 99.0), ('max_age', -1.0)]
)
def test_a_wrong_start_value_stops_the_start(make_rig: MakeRig, name: str, value: object) -> None:
    with pytest.raises(Exception, match=name):
        make_rig(**{name: value})


@pytest.mark.parametrize(
    ('name', 'value', 'package'),
    [
        ('synchronizer', 'message_filters', 'message_filters'),
        ('image_conversion', 'cv_bridge', 'cv_bridge'),
        ('radar_format', 'radar_scan', 'radar_msgs'),
    ],
)
def test_a_package_that_is_not_here_fails_to_configure_by_name(
    make_rig: MakeRig, name: str, value: str, package: str
) -> None:
    rig = make_rig(**{name: value})
    if importlib.util.find_spec(package) is not None:
        assert rig.lifecycle.change('configure')
        return
    assert not rig.lifecycle.change('configure')
    rig.status(DiagnosticStatus.ERROR, package)


@pytest.mark.parametrize(
    ('provider', 'told'),
    [
        ('CUDAExecutionProvider', 'is not in this build'),
        ('AzureExecutionProvider', 'takes no operator of this model'),
    ],
)
def test_an_accelerator_that_does_not_work_fails_to_configure(
    make_rig: MakeRig, provider: str, told: str
) -> None:
    if (provider in onnxruntime.get_available_providers()) != ('no operator' in told):
        pytest.skip(f'of this build of ONNX Runtime it is not true that {provider} {told}')
    rig = make_rig(providers=[provider, 'CPUExecutionProvider'])
    assert not rig.lifecycle.change('configure')
    rig.status(DiagnosticStatus.ERROR, told)
    rig.node.set_parameters([Parameter('allow_cpu_fallback', value=True)])
    assert rig.lifecycle.change('configure')
    rig.value('provider', 'CPUExecutionProvider')
    assert rig.lifecycle.change('activate')
    rig.status(DiagnosticStatus.WARN, told, 'inference')
