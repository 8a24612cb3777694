# SPDX-License-Identifier: Apache-2.0
"""The managed node: radar and camera in, reflection-likelihood heatmap out."""

from __future__ import annotations

import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import decode_camera_info

from . import health, optional_packages, process, qos
from .conversions import stamp_ns
from .diagnostics import diagnostic_array
from .monitor import InputMeter, ThrottledLog
from .outputs import Outputs
from .parameter_declaration import DeclaredParameters
from .parameters import Settings
from .qos_mismatches import QosMismatches
from .session import Session, open_session
from .transitions import ERROR, FAILURE, SUCCESS, answer_impossible_transitions, told
from .worker import PairWorker, Stages

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

JOIN_TIMEOUT_S = 10.0
EXPECTED_ERRORS = (ModelError, optional_packages.MissingPackageError)


class ReflectionHeatmapNode(LifecycleNode):
    """Lifecycle node `reflection_heatmap`.

    Subscriptions exist while it is active; their callbacks check stamps and hand over to the
    pairing. One worker thread decodes, infers and publishes. /diagnostics comes from a
    steady-clock timer in every state, from construction on.
    """

    def __init__(self, **node_options: Any) -> None:
        """Declare the parameters and start the diagnostics; options as for rclpy's Node."""
        super().__init__('reflection_heatmap', **node_options)
        self._state = 'unconfigured'
        self._failure = ''
        self._session: Session | None = None
        self._worker: PairWorker | None = None
        self._outputs: Outputs | None = None
        self._inputs: dict[str, Subscription] = {}
        self._camera_info: CameraInfo | None = None
        self._camera_info_error = ''
        self._camera_info_meter = InputMeter()
        self._active_since_s = 0.0
        self._reported_radar_drops: dict[str, int] = {}
        self._fatal = ''
        self._mismatches = QosMismatches(self.get_logger().warning)
        self._warn = ThrottledLog(self.get_logger().warning)
        self._declared = DeclaredParameters(
            self, Settings, lambda: self._session is not None, self._on_parameters_changed
        )
        self._fatal_event = self.create_guard_condition(self._on_fatal)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            self._declared.settings.diagnostics_period, self._report, clock=steady
        )
        answer_impossible_transitions(self)
        self.get_logger().info('started; unconfigured')
        if self._declared.settings.autostart:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def fail(self, text: str, error: Exception | None = None) -> None:
        """Log why the node cannot go on, and keep it for the diagnostics."""
        self._failure = text
        unexpected = error is not None and not isinstance(error, EXPECTED_ERRORS)
        self.get_logger().error(f'{text}\n{traceback.format_exc()}' if unexpected else text)

    # Transitions

    @told(on_exception=FAILURE)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and build everything; a FAILURE, with its reason, changes nothing."""
        settings = self._declared.settings
        self._radar_type()
        session = open_session(settings, self._warn)
        self._outputs = Outputs(
            self,
            settings.output_depth,
            resolution=lambda: self._declared.settings.heatmap_resolution,
            camera_info=lambda: self._camera_info,
            on_mismatch=self._mismatches.output,
        )
        self._session = session
        self._failure = self._fatal = ''
        self._reported_radar_drops = {}
        facts = session.model_facts
        self.get_logger().info(
            f'configured: {facts["model.path"]} (sha256 {facts["model.sha256"][:12]}, '
            f'{facts["model.radar"]}) on {facts["provider"]}'
        )
        for reason in session.model.passed_over:
            self.get_logger().warning(f'execution provider not taken: {reason}')
        self._state = 'inactive'
        return super().on_configure(state)

    @told(on_exception=ERROR)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe."""
        assert self._session is not None
        assert self._outputs is not None
        session = self._session
        activated = super().on_activate(state)
        session.queue.open()
        self._worker = PairWorker(
            session.queue,
            Stages(session.decode_radar, session.decode_image, self._infer, self._publish),
            session.monitor,
            max_age_s=lambda: self._declared.settings.max_age,
            on_drop=self._warn,
            on_failure=self._on_inference_failure,
        )
        self._worker.start()
        self._active_since_s = time.monotonic()
        self._subscribe()
        topics = ', '.join(subscription.topic_name for subscription in self._inputs.values())
        self.get_logger().info(f'active on {topics}')
        self._state = 'active'
        return activated

    @told(on_exception=ERROR)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker; what waits is counted as `deactivated`."""
        self._stop()
        deactivated = super().on_deactivate(state)
        if self._fatal:
            # rcl knows no way from active to error processing but a transition that fails.
            self.fail(self._fatal)
            return ERROR
        self._state = 'inactive'
        return deactivated

    @told(on_exception=ERROR)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and the publishers."""
        self._release()
        self._failure = ''
        self._state = 'unconfigured'
        return SUCCESS

    @told(on_exception=ERROR)
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and release, from any state."""
        self._release()
        self._state = 'finalized'
        return SUCCESS

    @told(on_exception=FAILURE)
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and go back to unconfigured; the reason stays in the diagnostics."""
        self._release()
        self._state = 'unconfigured'
        return SUCCESS

    def _stop(self) -> None:
        for subscription in self._inputs.values():
            self.destroy_subscription(subscription)
        self._inputs = {}
        if self._session is not None:
            self._session.intake.clear('deactivated')
            self._session.queue.close('deactivated')
        if self._worker is not None and not self._worker.join(JOIN_TIMEOUT_S):
            raise RuntimeError(f'the worker is still at work after {JOIN_TIMEOUT_S:g} s')
        self._worker = None

    def _release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        self._session = None
        self._camera_info = None
        self._camera_info_error = ''
        self._camera_info_meter = InputMeter()
        self._mismatches.clear()

    def destroy_node(self) -> None:
        """Stop the worker before the publishers it uses go."""
        try:
            self._stop()
        finally:
            super().destroy_node()

    # Inputs

    def _radar_type(self) -> Any:
        radar_format = self._declared.settings.radar_format
        if radar_format == 'radar_scan':
            return optional_packages.radar_msgs().RadarScan
        return {'points': PointCloud2, 'cube': Image}[radar_format]

    def _subscribe(self) -> None:
        settings = self._declared.settings
        image_type = CompressedImage if settings.image_transport == 'compressed' else Image
        image_qos = qos.profile(settings.image_reliability, settings.image_depth)
        radar_qos = qos.profile(settings.radar_reliability, settings.radar_depth)
        info_qos = qos.profile('best_effort', 1)
        meters = self._meters()
        for name, message_type, callback, profile in (
            ('image', image_type, self._on_image, image_qos),
            ('radar', self._radar_type(), self._on_radar, radar_qos),
            ('camera_info', CameraInfo, self._on_camera_info, info_qos),
        ):
            topic = f'~/input/{name}'
            events = qos.subscription_events(
                self.resolve_topic_name(topic), self._mismatches.input, meters[name].lost_now
            )
            self._inputs[name] = self.create_subscription(
                message_type, topic, callback, profile, event_callbacks=events
            )

    def _meters(self) -> dict[str, InputMeter]:
        assert self._session is not None
        return {**self._session.intake.meters, 'camera_info': self._camera_info_meter}

    def _on_image(self, msg: Image | CompressedImage) -> None:
        self._take('image', msg)

    def _on_radar(self, msg: Any) -> None:
        self._take('radar', msg)

    def _take(self, name: str, msg: Any) -> None:
        if self._session is None or name not in self._inputs:
            return
        self._mismatches.resolved(self._inputs[name].topic_name)
        take = self._session.intake.image if name == 'image' else self._session.intake.radar
        now = self.get_clock().now().nanoseconds
        take(msg, stamp_ns(msg.header.stamp), now, self._declared.settings.stamp_tolerance)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._mismatches.resolved(self._inputs['camera_info'].topic_name)
        self._camera_info_meter.arrived(time.monotonic())
        try:
            decode_camera_info(msg)
        except SensorDataError as error:
            self._camera_info, self._camera_info_error = None, str(error)
            self._warn(error.reason, str(error))
            return
        self._camera_info, self._camera_info_error = msg, ''

    # Worker's thread

    def _infer(self, image: Any, radar: Any) -> Any:
        assert self._session is not None
        model = self._session.model
        if not model.metadata.camera.intrinsics:
            return model.infer(image, radar)
        info = self._camera_info
        if info is None:
            raise SensorDataError('camera_info_missing', 'the model needs a valid camera_info')
        return model.infer(image, radar, decode_camera_info(info))

    def _publish(
        self, radar: Any, image_message: Any, image: NDArray[np.uint8], result: Correspondence
    ) -> None:
        assert self._session is not None
        assert self._outputs is not None
        self._outputs.publish(radar, image_message, image, result)
        if self._declared.settings.stamp_tolerance > 0:
            # Also what sensors and network took, which the ages by arrival cannot know.
            older = min(stamp_ns(msg.header.stamp) for msg in (radar, image_message))
            age_ns = self.get_clock().now().nanoseconds - older
            self._session.monitor.latency('since_stamp', age_ns * 1e-9)

    def _on_inference_failure(self, in_a_row: int, text: str) -> None:
        if in_a_row >= self._declared.settings.max_consecutive_failures and not self._fatal:
            self._fatal = f'{in_a_row} pairs failed in a row, the last: {text}'
            self._fatal_event.trigger()

    def _on_fatal(self) -> None:
        if self._state == 'active' and self._fatal:
            self.trigger_deactivate()

    # Diagnostics

    def _on_parameters_changed(self) -> None:
        period_ns = int(self._declared.settings.diagnostics_period * 1e9)
        if self._timer.timer_period_ns != period_ns:
            self._timer.timer_period_ns = period_ns

    def _report(self) -> None:
        if self._session is not None and self._state == 'active':
            self._session.intake.flush_if_silent(self._declared.settings.stale_after)
        self._diagnostics.publish(
            diagnostic_array(
                self._snapshot(),
                name=f'{self.get_fully_qualified_name().lstrip("/")}: perception',
                hardware_id=self.get_name(),
                now_ns=self.get_clock().now().nanoseconds,
            )
        )

    def _snapshot(self) -> health.Snapshot:
        session, now_s = self._session, time.monotonic()
        if session is None:
            return health.Snapshot(self._state, self._failure)
        account, seen = session.intake.account, session.monitor.seen()
        new_drops = {
            reason: count - self._reported_radar_drops.get(reason, 0)
            for reason, count in account.radar_dropped.items()
            if count > self._reported_radar_drops.get(reason, 0)
        }
        self._reported_radar_drops = account.radar_dropped
        return health.Snapshot(
            state=self._state,
            failure=self._failure,
            stale_after_s=self._declared.settings.stale_after,
            silent_s=now_s - max(seen.last_published_s or 0.0, self._active_since_s),
            worker_alive=self._worker is not None and self._worker.is_alive,
            inputs=self._input_status(now_s),
            account=account,
            new_radar_drops=new_drops,
            seen=seen,
            camera_info_error=self._camera_info_error,
            qos_mismatches=self._mismatches.current,
            model=session.model_facts,
        )

    def _input_status(self, now_s: float) -> dict[str, health.InputStatus]:
        result = {}
        for name, meter in self._meters().items():
            topic = self.resolve_topic_name(f'~/input/{name}')
            result[name] = health.InputStatus(
                topic,
                meter.received,
                meter.rate_hz(now_s),
                meter.age_s(now_s),
                self.count_publishers(topic),
                meter.lost,
                meter.take_new_losses(),
            )
        return result


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; exit code 0 on SIGINT and SIGTERM."""
    return process.run(ReflectionHeatmapNode, args)


if __name__ == '__main__':
    sys.exit(main())
