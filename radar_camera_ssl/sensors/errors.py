# SPDX-License-Identifier: Apache-2.0
"""The error of a sensor message that cannot be used."""

from __future__ import annotations


class SensorDataError(ValueError):
    """A message's content cannot be decoded; the message is to be dropped and counted.

    `reason` is a short snake_case key under which the drop is counted (`image_truncated`,
    `points_field_missing`, ...); the text tells a person what was expected and what was found.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Two arguments: without this, an error raised in a worker process cannot be unpickled.
        return type(self), (self.reason, str(self))
