# SPDX-License-Identifier: Apache-2.0
"""What rclpy's lifecycle lacks: told exceptions, and an answer to impossible requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def told(on_exception: TransitionCallbackReturn) -> Callable[[Transition], Transition]:
    """Wrap a transition callback: rclpy swallows its exceptions without a line in the log.

    The node's `fail(text, error)` is called with what was raised, and `on_exception` returned.
    While the callback is at work the node's `transition` is its name and when it began, by the
    steady clock; otherwise None.
    """

    def decorate(transition: Transition) -> Transition:
        @wraps(transition)
        def wrapped(self: Any, state: LifecycleState) -> TransitionCallbackReturn:
            name = transition.__name__.removeprefix('on_')
            self.transition = (name, time.monotonic())
            try:
                return transition(self, state)
            except Exception as error:  # noqa: BLE001 - whatever it is, the node tells it
                self.fail(f'{name} failed: {error}', error)
                return on_exception
            finally:
                self.transition = None

        return wrapped

    return decorate


def answer_impossible_transitions(node: LifecycleNode) -> None:
    """Answer a change_state that the node's state forbids with `success: false`.

    rclpy lets the exception out of the service, which ends the executor's spin.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _guarded(node, service.callback)


def _guarded(
    node: LifecycleNode, callback: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:  # noqa: BLE001 - RCLError is not public in rclpy
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f'transition {wanted} is not possible now: {error}')
            response.success = False
            return response

    return answer
