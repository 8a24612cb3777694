# SPDX-License-Identifier: Apache-2.0
"""Drives a managed node through its states, for machines without `ros2 lifecycle`."""

from __future__ import annotations

import argparse
import sys
import time
from types import TracebackType
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from .process import arguments_with_log

TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}
SHUTDOWNS = {
    'unconfigured': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    'inactive': Transition.TRANSITION_INACTIVE_SHUTDOWN,
    'active': Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class LifecycleError(RuntimeError):
    """A managed node did not answer, or did not reach the state asked for."""


class LifecycleClient:
    """A client of one managed node's state; a context manager with a node of its own."""

    def __init__(self, node_name: str, context: Context | None = None) -> None:
        """Connect to `/reflection_heatmap` or the like, in the given or the default context."""
        self._name = '/' + node_name.strip('/')
        label = self._name.replace('/', '_').strip('_')
        self._node = rclpy.create_node(f'{label}_lifecycle_client', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._get = self._node.create_client(GetState, f'{self._name}/get_state')
        self._change = self._node.create_client(ChangeState, f'{self._name}/change_state')

    def __enter__(self) -> LifecycleClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Destroy the client's node."""
        self._executor.shutdown()
        self._node.destroy_node()

    def state(self, timeout_s: float = 10.0) -> str:
        """Return the label of the node's state; LifecycleError when it does not answer."""
        return str(self._call(self._get, GetState.Request(), timeout_s).current_state.label)

    def change(self, transition: str, timeout_s: float = 30.0) -> bool:
        """Ask for configure, activate, deactivate, cleanup or shutdown; say whether it worked.

        To shut down a node that is finalized is done already. LifecycleError when the node does
        not answer, or is to be shut down in the midst of a transition.
        """
        request = ChangeState.Request()
        if transition == 'shutdown':
            state = self.state(timeout_s)
            if state == 'finalized':
                return True
            if state not in SHUTDOWNS:
                raise LifecycleError(
                    f'{self._name} is {state}: it can be shut down while {" or ".join(SHUTDOWNS)}'
                )
            request.transition.id = SHUTDOWNS[state]
        else:
            request.transition.id = TRANSITIONS[transition]
        return bool(self._call(self._change, request, timeout_s).success)

    def bring_up(self, timeout_s: float = 30.0) -> None:
        """Bring the node to active, from unconfigured or inactive; LifecycleError otherwise."""
        deadline = time.monotonic() + timeout_s
        for start, transition in (('unconfigured', 'configure'), ('inactive', 'activate')):
            left_s = max(0.1, deadline - time.monotonic())
            if self.state(left_s) == start and not self.change(transition, left_s):
                raise LifecycleError(f'{self._name} refused to {transition}: see its log')
        if (state := self.state(max(0.1, deadline - time.monotonic()))) != 'active':
            raise LifecycleError(f'{self._name} is {state}, not active')

    def _call(self, client: Client, request: Any, timeout_s: float) -> Any:
        deadline = time.monotonic() + timeout_s
        if not client.wait_for_service(timeout_sec=timeout_s):
            raise LifecycleError(f'{client.srv_name} is not there after {timeout_s:g} s')
        future = client.call_async(request)
        left_s = max(0.1, deadline - time.monotonic())
        self._executor.spin_until_future_complete(future, left_s)
        if not future.done():
            client.remove_pending_request(future)
            raise LifecycleError(f'{client.srv_name} did not answer within {timeout_s:g} s')
        return future.result()


def bring_up(node_name: str, timeout_s: float = 30.0, context: Context | None = None) -> None:
    """Bring a managed node to active; State of success is `active`, LifecycleError otherwise."""
    with LifecycleClient(node_name, context) as client:
        client.bring_up(timeout_s)


def main(arguments: list[str] | None = None) -> int:
    """Command line: `lifecycle_client NODE [TRANSITION]`; without one, bring the node up."""
    parser = argparse.ArgumentParser(description='Drive a managed node through its states.')
    parser.add_argument('node', help='the node, e.g. /reflection_heatmap')
    parser.add_argument(
        'transition',
        nargs='?',
        default='bring_up',
        choices=('bring_up', 'state', 'shutdown', *TRANSITIONS),
    )
    parser.add_argument('--timeout', type=float, default=30.0, metavar='S')
    options = parser.parse_args(arguments)
    rclpy.init(args=arguments_with_log(None))
    try:
        with LifecycleClient(options.node) as client:
            if options.transition == 'bring_up':
                client.bring_up(options.timeout)
            elif options.transition != 'state' and not client.change(
                options.transition, options.timeout
            ):
                raise LifecycleError(f'{options.node} refused to {options.transition}')
            print(client.state(options.timeout))
    except LifecycleError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
