# SPDX-License-Identifier: Apache-2.0
"""A bag through the real node: player and node as processes, outputs recorded and counted here."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from radar_camera_ssl.resources import share_directory
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.sensors.topics import COMPRESSED_TYPE

from .child_process import ChildProcess
from .lifecycle_client import LifecycleClient, LifecycleError
from .output_recorder import OutputRecorder
from .process import ensure_log_directory

NODE = 'radar_camera_ssl.nodes.reflection_heatmap_node'
PLAYER = 'radar_camera_ssl.nodes.bag_player_node'
CUBE_INFO = '/radar/cube_info'
START_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 30.0

# For a recording completeness counts, not freshness: nothing is dropped for being late.
COMPLETE = {
    'image_reliability': 'reliable',
    'radar_reliability': 'reliable',
    'image_depth': 200,
    'radar_depth': 200,
    'output_depth': 200,
    'pair_queue_depth': 200,
    'max_age': 600.0,
    'stamp_tolerance': 0.0,
    'diagnostics_period': 0.25,
}


class ReplayError(RuntimeError):
    """The session did not come to its end; the text has the failing process's last lines."""


@dataclass(frozen=True)
class ReplaySummary:
    """What went in, what came out, and where the difference is."""

    bag: str
    recording: str
    image_topic: str
    radar_topic: str
    images_published: int
    radar_published: int
    radar_received: int
    pairs: int
    heatmaps_published: int
    radar_dropped: dict[str, int]
    radar_pending: int
    recorded: dict[str, int]
    wall_s: float
    player_lag_ms: float
    damages: tuple[str, ...]
    """What of the bag could not be played."""
    diagnostics: dict[str, str] = field(repr=False)
    """The node's last diagnostic key values: latencies, provider, model, gap, rates."""

    @property
    def heatmaps_recorded(self) -> int:
        """Heatmaps in the recorded bag."""
        return next(n for topic, n in self.recorded.items() if topic.endswith('/output/heatmap'))

    @property
    def conserved(self) -> bool:
        """Whether every published radar frame became a recorded heatmap or a counted drop."""
        dropped = sum(self.radar_dropped.values())
        return (
            self.radar_pending == 0
            and self.heatmaps_recorded == self.heatmaps_published
            and self.radar_published == self.heatmaps_published + dropped
        )


def run_replay_session(
    bag: str | Path,
    model: str | Path,
    record_to: str | Path,
    rate: float = 1.0,
    timeout_s: float | None = None,
    *,
    radar_format: str = 'points',
    image_topic: str | None = None,
    radar_topic: str | None = None,
    slop_s: float = 0.05,
    overlay: str = 'overlay/compressed',
    progress: Callable[[float], None] = lambda fraction: None,
) -> ReplaySummary:
    """Play `bag` through the node with `model` and record its outputs to the bag `record_to`.

    Player and node are processes of their own and talk over DDS, on this machine only and in a
    domain of their own. Topics not given are found in the bag. `overlay` is `overlay/compressed`,
    `overlay` or '' (then none is drawn). `progress` is called with the share played. `timeout_s`
    bounds the whole session; None: twice the time the bag takes, plus two minutes.
    Raises ReplayError, RecordingError for an unusable bag, FileExistsError for `record_to`.
    """
    started = time.monotonic()
    record_to = Path(record_to)
    if record_to.exists():
        raise FileExistsError(f'{record_to} exists already')
    plan = _plan(Path(bag), radar_format, image_topic, radar_topic)
    if timeout_s is None:
        timeout_s = 120.0 + 2.0 * plan.duration_s / rate
    deadline = started + timeout_s
    ensure_log_directory()
    with ExitStack() as stack:
        environment = stack.enter_context(_private_domain())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='replay_')))
        context = stack.enter_context(_ros_context(int(environment['ROS_DOMAIN_ID'])))
        outputs = ('heatmap', 'reflections', *([overlay] if overlay else []))
        recorder = OutputRecorder(record_to, outputs=(*outputs, 'camera_info'), context=context)
        stack.callback(recorder.destroy_node)
        stack.enter_context(_spinning(recorder, context))
        node = stack.enter_context(
            ChildProcess(NODE, _node_arguments(plan, model, slop_s), folder / 'node', environment)
        )
        _bring_up(node, context)
        report_path = folder / 'report.json'
        player = stack.enter_context(
            ChildProcess(
                PLAYER, _player_arguments(plan, rate, report_path), folder / 'player', environment
            )
        )
        _wait_for_player(player, node, plan.duration_s / rate, deadline, progress)
        report = json.loads(report_path.read_text())
        published = report['published'].get(plan.radar_topic, 0)
        _drain(recorder, outputs, node, published, deadline)
        code = node.stop()
        if code != 0:
            raise ReplayError(f'the node ended with code {code}:\n{node.last_lines()}')
    return _summary(plan, recorder, report, time.monotonic() - started)


@dataclass(frozen=True)
class _Plan:
    bag: Path
    duration_s: float
    image_topic: str
    image_transport: str
    radar_topic: str
    radar_format: str
    camera_info_topic: str | None
    cube_axes: tuple[float, ...] | None
    topics: tuple[str, ...]


def _plan(bag: Path, radar_format: str, image_topic: str | None, radar_topic: str | None) -> _Plan:
    with Recording(bag) as recording:
        recording.require_cdr()
        image_topic = recording.required_topic('image', image_topic)
        kind = 'cube' if radar_format == 'cube' else 'points'
        radar_topic = recording.required_topic(kind, radar_topic)
        compressed = recording.topics[image_topic] == COMPRESSED_TYPE
        info_topic = recording.find_topic('camera_info', image_topic)
        static = [topic for topic in recording.topics if topic.endswith('tf_static')]
        return _Plan(
            bag=bag,
            duration_s=recording.duration_s,
            image_topic=image_topic,
            image_transport='compressed' if compressed else 'raw',
            radar_topic=radar_topic,
            radar_format=radar_format,
            camera_info_topic=info_topic,
            cube_axes=_cube_axes(recording) if radar_format == 'cube' else None,
            topics=(image_topic, radar_topic, *([info_topic] if info_topic else []), *static),
        )


def _cube_axes(recording: Recording) -> tuple[float, ...] | None:
    """The axis limits that the recorder of the bag wrote down, if it did."""
    if CUBE_INFO not in recording.topics:
        return None
    for _, _, msg in recording.messages([CUBE_INFO]):
        axes = CubeAxes.from_key_values(msg.values)
        return (*axes.range_m, *axes.azimuth_rad, *axes.doppler_mps)
    return None


def _node_arguments(plan: _Plan, model: str | Path, slop_s: float) -> list[str]:
    remappings = {
        '~/input/image': plan.image_topic,
        '~/input/radar': plan.radar_topic,
        '~/input/camera_info': plan.camera_info_topic or '~/input/camera_info',
    }
    parameters: dict[str, object] = COMPLETE | {
        'use_sim_time': True,
        'model_path': str(Path(model).resolve()),
        'radar_format': plan.radar_format,
        'image_transport': plan.image_transport,
        'slop': slop_s,
    }
    if plan.cube_axes is not None:
        parameters['cube_axes'] = list(plan.cube_axes)
    return _ros_arguments(remappings, parameters)


def _player_arguments(plan: _Plan, rate: float, report_path: Path) -> list[str]:
    parameters = {
        'bag': str(plan.bag.resolve()),
        'rate': float(rate),
        'topics': list(plan.topics),
        'wait_for_subscribers': [plan.image_topic, plan.radar_topic],
        'report_path': str(report_path),
        'depth': 200,
    }
    return _ros_arguments({}, parameters)


def _ros_arguments(remappings: dict[str, str], parameters: dict[str, object]) -> list[str]:
    arguments = ['--ros-args']
    for private, topic in remappings.items():
        if private != topic:
            arguments += ['-r', f'{private}:={topic}']
    for name, value in parameters.items():
        # JSON is YAML, which is what rcl reads; it keeps strings strings.
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    return arguments


@contextmanager
def _private_domain() -> Iterator[dict[str, str]]:
    """Environment of a session that no other ROS graph hears; set here too while it lasts."""
    settings = {'ROS_DOMAIN_ID': str(1 + (os.getpid() + int(time.time())) % 100)}
    if os.environ.get('ROS_DISTRO') == 'humble':
        settings['ROS_LOCALHOST_ONLY'] = '1'
    else:
        settings['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    environment = dict(os.environ)
    profile = str(share_directory() / 'config' / 'fastdds_large_images.xml')
    environment['FASTRTPS_DEFAULT_PROFILES_FILE'] = profile
    environment['FASTDDS_DEFAULT_PROFILES_FILE'] = profile
    try:
        yield environment
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ros_context(domain_id: int) -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    try:
        yield context
    finally:
        rclpy.try_shutdown(context=context)


@contextmanager
def _spinning(recorder: OutputRecorder, context: Context) -> Iterator[None]:
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(recorder)
    stop = threading.Event()

    def spin() -> None:
        try:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, name='recorder')
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        executor.shutdown()


def _bring_up(node: ChildProcess, context: Context) -> None:
    try:
        with LifecycleClient('/reflection_heatmap', context) as client:
            client.bring_up(START_TIMEOUT_S)
    except LifecycleError as error:
        raise ReplayError(f'{error}:\n{node.last_lines()}') from error


def _wait_for_player(
    player: ChildProcess,
    node: ChildProcess,
    duration_s: float,
    deadline: float,
    progress: Callable[[float], None],
) -> None:
    began = time.monotonic()
    while (code := player.exit_code()) is None:
        if node.exit_code() is not None:
            raise ReplayError(f'the node ended early:\n{node.last_lines()}')
        if time.monotonic() > deadline:
            raise ReplayError(f'the player is not done in time:\n{player.last_lines()}')
        progress(min(1.0, (time.monotonic() - began) / max(duration_s, 1e-3)))
        time.sleep(0.1)
    if code != 0:
        raise ReplayError(f'the player ended with code {code}:\n{player.last_lines()}')
    progress(1.0)


def _drain(
    recorder: OutputRecorder,
    outputs: tuple[str, ...],
    node: ChildProcess,
    radar_published: int,
    deadline: float,
) -> None:
    """Wait until all radar frames are accounted for and every pair's outputs are recorded."""
    deadline = min(deadline, time.monotonic() + DRAIN_TIMEOUT_S)
    while time.monotonic() < deadline and node.exit_code() is None:
        told = recorder.diagnostics
        if (
            int(told.get('radar_received', -1)) >= radar_published
            and int(told.get('radar_pending', -1)) == 0
            and all(recorder.count(output) >= int(told['published']) for output in outputs)
        ):
            return
        time.sleep(0.05)


def _summary(
    plan: _Plan, recorder: OutputRecorder, report: dict[str, Any], wall_s: float
) -> ReplaySummary:
    told = recorder.diagnostics
    published: dict[str, int] = report['published']
    prefix = 'radar_dropped.'
    return ReplaySummary(
        bag=str(plan.bag),
        recording=str(recorder.path),
        image_topic=plan.image_topic,
        radar_topic=plan.radar_topic,
        images_published=published.get(plan.image_topic, 0),
        radar_published=published.get(plan.radar_topic, 0),
        radar_received=int(told.get('radar_received', 0)),
        pairs=int(told.get('pairs', 0)),
        heatmaps_published=int(told.get('published', 0)),
        radar_dropped={
            key.removeprefix(prefix): int(value)
            for key, value in told.items()
            if key.startswith(prefix)
        },
        radar_pending=int(told.get('radar_pending', 0)),
        recorded=dict(recorder.counts),
        wall_s=wall_s,
        player_lag_ms=float(report['largest_lag_ms']),
        damages=tuple(report['damages']),
        diagnostics=dict(told),
    )
