# SPDX-License-Identifier: Apache-2.0
"""ROS packages that PyPI lacks, imported in this one place; the node runs without them."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingPackageError(RuntimeError):
    """A parameter asks for a package that is not installed here."""


def _import(module: str, parameter: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f'{parameter} needs the ROS package {module.split(".")[0]}, which cannot be imported '
            f'here ({error})'
        ) from error


def message_filters() -> ModuleType:
    """Return `message_filters`, or raise MissingPackageError."""
    return _import('message_filters', 'synchronizer: message_filters')


def cv_bridge() -> ModuleType:
    """Return `cv_bridge`, or raise MissingPackageError."""
    return _import('cv_bridge', 'image_conversion: cv_bridge')


def radar_msgs() -> ModuleType:
    """Return `radar_msgs.msg`, or raise MissingPackageError."""
    return _import('radar_msgs.msg', 'radar_format: radar_scan')
