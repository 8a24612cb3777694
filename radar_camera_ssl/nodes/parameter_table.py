# SPDX-License-Identifier: Apache-2.0
"""Parameters as one table: a frozen dataclass whose fields are the rows.

A field's name, default, unit, limits and meaning stand nowhere else; nodes declare them from
here, check every set here, and the README's tables are printed from here. No ROS in this file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

SettingsType = TypeVar('SettingsType')
Check = Callable[[Any], 'str | None']

# When a parameter may be set.
ANY_TIME = 'at any time'
UNCONFIGURED = 'while unconfigured'
START = 'at the start'


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    settable: str = UNCONFIGURED,
    check: Check | None = None,
) -> Any:
    """Return the dataclass field of one parameter.

    settable: ANY_TIME, it takes effect at once; UNCONFIGURED, it is read at configure; START, it
    is read by the constructor. At another time setting it is refused, because an accepted value
    that does nothing is a wrong answer. `check` returns what is wrong with a value, or None.
    """
    metadata = {
        'description': description,
        'unit': unit,
        'minimum': minimum,
        'maximum': maximum,
        'choices': tuple(choices),
        'settable': settable,
        'check': check,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameter:
    """One row of a table."""

    name: str
    default: Any
    description: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    settable: str
    check: Check | None

    @property
    def type_name(self) -> str:
        """The ROS type: bool, integer, double, string, double[] or string[]."""
        if isinstance(self.default, tuple):
            return 'string[]' if isinstance(self.default[0], str) else 'double[]'
        names = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}
        return names[type(self.default)]

    @property
    def range_text(self) -> str:
        """The allowed values in words; empty when anything of the type is allowed."""
        if self.choices:
            return ', '.join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f'{self.minimum:g} to {self.maximum:g}'
        return ''

    def problem(self, value: Any) -> str | None:
        """Return why `value` is not allowed, or None if it is. NaN is outside of any range."""
        if self.choices and value not in self.choices:
            return f'{self.name}: {value!r} is none of {self.range_text}'
        if (
            self.minimum is not None
            and self.maximum is not None
            and not self.minimum <= value <= self.maximum
        ):
            return f'{self.name}: {value} is outside {self.range_text} {self.unit}'.rstrip()
        found = self.check(value) if self.check is not None else None
        return f'{self.name}: {found}' if found else None


def rows_of(settings: Any) -> dict[str, Parameter]:
    """Return the rows of a settings class (or an instance of it) by name."""
    return {
        field.name: Parameter(name=field.name, default=field.default, **field.metadata)
        for field in dataclasses.fields(settings)
    }


def settings_from(settings: type[SettingsType], values: Mapping[str, Any]) -> SettingsType:
    """Build the settings from parameter values; arrays become tuples.

    Raises ValueError naming the first value that is not allowed.
    """
    rows = rows_of(settings)
    for name, value in values.items():
        if (problem := rows[name].problem(value)) is not None:
            raise ValueError(problem)
    return settings(
        **{
            name: tuple(value) if isinstance(rows[name].default, tuple) else value
            for name, value in values.items()
        }
    )


def markdown_table(settings: type[Any]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        '| parameter | type | default | unit | allowed | may be set | meaning |',
        '|---|---|---|---|---|---|---|',
    ]
    for row in rows_of(settings).values():
        default = list(row.default) if isinstance(row.default, tuple) else row.default
        shown = str(default).lower() if isinstance(default, bool) else repr(default)
        lines.append(
            f'| `{row.name}` | {row.type_name} | `{shown}` | {row.unit} | {row.range_text} '
            f'| {row.settable} | {row.description} |'
        )
    return '\n'.join(lines) + '\n'
