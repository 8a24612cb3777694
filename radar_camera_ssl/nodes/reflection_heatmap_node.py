# SPDX-License-Identifier: Apache-2.0
"""The managed node: radar and camera in, reflection-likelihood heatmap out."""

from __future__ import annotations

import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import cv2
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.errors import SensorDataError

from . import optional_packages, process
from .conversions import stamp_ns
from .diagnostics import Diagnostics
from .error_memory import ErrorMemory
from .health import Configured, Snapshot
from .inputs import Inputs
from .outputs import Outputs
from .parameter_declaration import DeclaredParameters
from .parameters import Settings
from .qos_mismatches import QosMismatches
from .session import Session, open_session
from .throttled_log import ThrottledLog
from .transitions import ERROR, FAILURE, SUCCESS, answer_impossible_transitions, told
from .worker import Decoded, PairWorker, Stages

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

# Below what launch (5 s from SIGINT to SIGTERM, as long again to SIGKILL) and docker (10 s) grant.
JOIN_TIMEOUT_S = 4.0
# How often the executor shows that it comes round.
BEAT_S = 0.1


class WorkerHangsError(RuntimeError):
    """The worker does not come back from the pair it is at."""


EXPECTED_ERRORS = (ModelError, optional_packages.MissingPackageError, WorkerHangsError)


class ReflectionHeatmapNode(LifecycleNode):
    """Lifecycle node `reflection_heatmap`.

    Subscriptions exist while it is active; their callbacks check stamps and hand over to the
    pairing. One worker thread decodes, infers and publishes. /diagnostics comes from a thread of
    its own in every state, from construction on.
    """

    def __init__(self, **node_options: Any) -> None:
        """Declare the parameters and start the diagnostics; options as for rclpy's Node."""
        super().__init__('reflection_heatmap', **node_options)
        self._state = 'unconfigured'
        self._failure = ''
        self._session: Session | None = None
        self._worker: PairWorker | None = None
        self._outputs: Outputs | None = None
        self._inputs: Inputs | None = None
        # From Kilted on the context destroys a node that refuses its parameters below as well.
        self._diagnostics: Diagnostics | None = None
        self._active_since_s = 0.0
        self._fatal = ''
        self.transition: tuple[str, float] | None = None
        self._errors = ErrorMemory()
        self._log_warning = ThrottledLog(self.get_logger().warning)
        self._mismatches = QosMismatches(self, self.get_logger().warning)
        self._declared = DeclaredParameters(self, Settings, lambda: self._session is not None)
        self._fatal_event = self.create_guard_condition(self._on_fatal)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._beaten_s = time.monotonic()
        self.create_timer(BEAT_S, self._beat, clock=steady)
        self._diagnostics = Diagnostics(
            self, self._snapshot, lambda: self._settings().diagnostics_period
        )
        self._diagnostics.start()
        answer_impossible_transitions(self)
        self.get_logger().info('started; unconfigured')
        if self._settings().autostart:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def fail(self, text: str, error: Exception | None = None) -> None:
        """Log why the node cannot go on, and keep it for the diagnostics."""
        # What fails while an error is processed does not hide that error.
        processing = (
            self._failure and self.transition is not None and self.transition[0] == 'error'
        )
        self._failure = f'{self._failure}; then {text}' if processing else text
        self._errors.note('failed', text)
        unexpected = error is not None and not isinstance(error, EXPECTED_ERRORS)
        self.get_logger().error(f'{text}\n{traceback.format_exc()}' if unexpected else text)

    def _warn(self, reason: str, text: str) -> None:
        """Log what was dropped or cannot be used, once in a while for each reason, and note it."""
        self._errors.note(reason, text.partition('\n')[0])
        self._log_warning(reason, text)

    # Transitions

    @told(on_exception=FAILURE)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and build everything; a FAILURE, with its reason, changes nothing."""
        session = open_session(self._settings(), self._warn)
        inputs = Inputs(
            self,
            self._settings,
            session.intake,
            session.decode_radar.waits,
            self._mismatches,
            self._warn,
        )
        self._outputs = Outputs(
            self,
            self._settings,
            lambda size: (camera := inputs.camera_of(size)) and camera[0],
            self._mismatches,
            self._warn,
        )
        self._session, self._inputs = session, inputs
        self._failure = self._fatal = ''
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
        assert self._inputs is not None
        session = self._session
        activated = super().on_activate(state)
        session.queue.open()
        self._worker = PairWorker(
            session.queue,
            Stages(
                session.decode_radar,
                session.decode_image,
                session.model.scaled,
                self._infer,
                self._publish,
            ),
            session.monitor,
            session.watch,
            max_age_s=lambda: self._settings().max_age,
            on_drop=self._warn,
            on_failure=self._on_inference_failure,
        )
        # What is judged of the last pairs, or over a window of time, is judged anew.
        session.monitor.begin()
        session.watch.begin()
        session.recent.begin(self._inputs.counters)
        self._active_since_s = time.monotonic()
        self._worker.start()
        self._inputs.open()
        self.get_logger().info(f'active on {", ".join(self._inputs.topics.values())}')
        self._state = 'active'
        return activated

    @told(on_exception=ERROR)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker; what waits is counted as `deactivated`."""
        try:
            self._stop()
        finally:
            # Whatever comes of it, nothing is published any more.
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
        # Where rcl ends when this fails.
        self._state = 'finalized'
        self._release()
        self._state = 'unconfigured'
        return SUCCESS

    def _stop(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
        if self._session is not None:
            self._session.intake.clear('deactivated')
            self._session.queue.close('deactivated')
        if self._worker is not None and not self._worker.join(JOIN_TIMEOUT_S):
            raise WorkerHangsError(
                f'the worker is still at work after {JOIN_TIMEOUT_S:g} s; restart the process'
            )
        self._worker = None

    def _release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        self._session = self._inputs = None

    def destroy_node(self) -> None:
        """Stop the threads before the publishers they use go."""
        if self._diagnostics is not None:
            self._diagnostics.stop()
        try:
            self._stop()
        except WorkerHangsError as error:
            self.get_logger().error(f'ending all the same: {error}')
        finally:
            super().destroy_node()

    @property
    def hangs(self) -> bool:
        """Whether a thread is at work that does not come back, while the node is destroyed."""
        return self._worker is not None

    # Worker's thread

    def _infer(self, pair: Decoded) -> Correspondence:
        assert self._session is not None
        model = self._session.model
        height, width = pair.image.shape[:2]
        self._session.monitor.image_shape(model.misfit((height, width)))
        if not model.metadata.camera.intrinsics:
            return model.infer(pair.image, pair.radar)
        camera = self._inputs.camera_of((height, width)) if self._inputs is not None else None
        if camera is None:
            raise SensorDataError('camera_info_missing', 'the model needs a valid camera_info')
        return model.infer(pair.image, pair.radar, camera[1])

    def _publish(
        self, radar: Any, image_message: Any, image: CameraImage, result: Correspondence
    ) -> None:
        assert self._session is not None
        assert self._outputs is not None
        if self._state == 'finalized':
            raise SensorDataError('deactivated', 'the answer came after the node had given up')
        self._outputs.publish(radar, image_message, image, result)
        if self._settings().stamp_tolerance > 0:
            # Also what sensors and network took, which the ages by arrival cannot know.
            older = min(stamp_ns(msg.header.stamp) for msg in (radar, image_message))
            age_ns = self.get_clock().now().nanoseconds - older
            self._session.monitor.latency('since_stamp', age_ns * 1e-9)

    def _on_inference_failure(self, in_a_row: int, text: str) -> None:
        if in_a_row >= self._settings().max_consecutive_failures and not self._fatal:
            self._fatal = f'{in_a_row} pairs failed in a row, the last: {text}'
            self._fatal_event.trigger()

    def _on_fatal(self) -> None:
        if self._state == 'active' and self._fatal:
            self.trigger_deactivate()

    # Diagnostics

    def _settings(self) -> Settings:
        return self._declared.settings

    def _beat(self) -> None:
        """Come round in the executor: what no message triggers is done here."""
        self._beaten_s = time.monotonic()
        self._mismatches.tell()
        if self._session is not None and self._state == 'active':
            self._session.intake.flush_if_silent(self._settings().stale_after)

    def _snapshot(self, now_s: float) -> Snapshot:
        """What the diagnostics are made from; called in their thread."""
        transition = self.transition
        return Snapshot(
            state=self._state,
            settings=self._settings(),
            failure=self._failure,
            errors=self._errors.facts(),
            executor_age_s=max(0.0, now_s - self._beaten_s),
            transition=transition and (transition[0], now_s - transition[1]),
            configured=self._configured(now_s),
        )

    def _configured(self, now_s: float) -> Configured | None:
        session, inputs, worker = self._session, self._inputs, self._worker
        if session is None or inputs is None:
            return None
        settings = self._settings()
        account = session.intake.account
        status = inputs.status(now_s)
        seen = session.monitor.seen(settings.diagnostics_window)
        active_since_s = self._active_since_s
        return Configured(
            active_s=now_s - active_since_s,
            silent_s=now_s - max(seen.last_published_s or 0.0, active_since_s),
            # While it is being stopped it may end.
            worker_alive=worker is None or worker.is_alive or self.transition is not None,
            clock_started=self.get_clock().now().nanoseconds > 0,
            inputs=status,
            account=account,
            recent=session.recent.growth(now_s, inputs.counters, settings.diagnostics_window),
            seen=seen,
            agreement=session.watch.facts(settings.agreement_window),
            model=session.model_facts,
            camera_info_error=inputs.camera_info_error,
            mismatches=self._mismatches.current(),
            providers_passed_over=tuple(session.model.passed_over),
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; exit code 0 on SIGINT and SIGTERM."""
    # By default OpenCV shares the half of a millisecond that scaling takes with a thread for each
    # core; on a busy machine the worker then waits for longer until all of them had their turn.
    cv2.setNumThreads(1)
    return process.run(ReflectionHeatmapNode, args)


if __name__ == '__main__':
    sys.exit(main())
