# SPDX-License-Identifier: Apache-2.0
"""The error of a model that cannot be loaded or did not answer as its contract says."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A model file is unusable, or a run of it failed; the text says which and why.

    ``field`` is the dotted path in the model's metadata (or ``input NAME``, ``output NAME``) that
    does not fit, '' where no single one is to blame.
    """

    def __init__(self, message: str, field: str = '') -> None:
        super().__init__(message)
        self.field = field
