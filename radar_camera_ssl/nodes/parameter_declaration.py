# SPDX-License-Identifier: Apache-2.0
"""A parameter table as declared ROS parameters with descriptors and ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from .parameter_table import (
    START,
    UNCONFIGURED,
    Parameter,
    SettingsType,
    rows_of,
    settings_from,
)


def descriptor(row: Parameter) -> ParameterDescriptor:
    """Return the descriptor of one row: description, unit, range or choices."""
    result = ParameterDescriptor(name=row.name, description=row.description)
    if row.unit:
        result.description += f' Unit: {row.unit}.'
    if row.choices:
        result.additional_constraints = f'One of {row.range_text}.'
    if row.minimum is not None and row.maximum is not None:
        if row.type_name == 'integer':
            limits = IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum), step=1)
            result.integer_range = [limits]
        else:
            result.floating_point_range = [
                FloatingPointRange(
                    from_value=float(row.minimum), to_value=float(row.maximum), step=0.0
                )
            ]
    return result


class DeclaredParameters(Generic[SettingsType]):
    """A node's parameters: declared, checked at every set, and readable as `settings`."""

    def __init__(
        self,
        node: Node,
        table: type[SettingsType],
        is_configured: Callable[[], bool] = lambda: False,
    ) -> None:
        """Declare the rows of `table` on `node`.

        From then on each may be set when the table says so. Raises ValueError for a start value
        that is not allowed.
        """
        self._rows = rows_of(table)
        self._is_configured = is_configured
        values: dict[str, Any] = {}
        for name, row in self._rows.items():
            default = list(row.default) if isinstance(row.default, tuple) else row.default
            values[name] = node.declare_parameter(name, default, descriptor(row)).value
        self.settings: SettingsType = settings_from(table, values)
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        changes = {}
        for parameter in parameters:
            row = self._rows.get(parameter.name)
            if row is None:
                continue
            if parameter.type_ == RosParameter.Type.NOT_SET:
                return _refused(f'{row.name}: cannot be removed')
            if (problem := row.problem(parameter.value)) is not None:
                return _refused(problem)
            is_array = isinstance(row.default, tuple)
            value = tuple(parameter.value) if is_array else parameter.value
            if value == getattr(self.settings, row.name):
                continue
            if row.settable == START:
                return _refused(
                    f'{row.name}: is read at the start; start the node anew to change it'
                )
            if row.settable == UNCONFIGURED and self._is_configured():
                return _refused(
                    f'{row.name}: is read at configure; bring the node to unconfigured (cleanup) '
                    'to change it'
                )
            changes[row.name] = value
        # Replaced as a whole: the worker and the diagnostics read it in threads of their own.
        self.settings = dataclasses.replace(self.settings, **changes)  # type: ignore[type-var]
        return SetParametersResult(successful=True)


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)
