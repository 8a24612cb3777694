# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every room's tests share."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# So that `from model_factory import write_tiny_model` works from any room's tests.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A points model file that loads in milliseconds (see test/model_factory.py)."""
    return _tiny(tmp_path_factory, 'points')


@pytest.fixture(scope='session')
def tiny_cube_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube model file, for cubes of shape ``model_factory.CUBE.shape``."""
    return _tiny(tmp_path_factory, 'cube')


def _tiny(tmp_path_factory: pytest.TempPathFactory, kind: str) -> Path:
    pytest.importorskip('onnx', reason='the tests build their models with the onnx package')
    from model_factory import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp('models') / f'{kind}.onnx', kind)


@pytest.fixture
def without(tmp_path: Path) -> Callable[[str], Path]:
    """Make a folder that, in PYTHONPATH, lets a package look as if it were not installed."""

    def hide(package: str) -> Path:
        (tmp_path / 'sitecustomize.py').write_text(
            textwrap.dedent(f"""
            import sys
            from importlib.machinery import PathFinder

            class Without(PathFinder):
                @classmethod
                def find_spec(cls, name, *arguments):
                    hidden = name.partition('.')[0] == {package!r}
                    return None if hidden else super().find_spec(name, *arguments)

            sys.meta_path[sys.meta_path.index(PathFinder)] = Without
            """)
        )
        return tmp_path

    return hide
