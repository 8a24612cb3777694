# SPDX-License-Identifier: Apache-2.0
"""The walls between the rooms: who may import whom, read from the code and seen at run time."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = 'radar_camera_ssl'
SOURCES = ROOT / PACKAGE

# Which other rooms a room may import. The modules directly in the package are for everybody
# (standard library only), except those that tie rooms together.
ROOMS = {
    'sensors': set(),
    'inference': {'sensors'},
    'simulation': {'sensors'},
    'learning': {'sensors'},
    'quantization': {'sensors', 'inference'},
    'evaluation': {'sensors', 'inference'},
    'nodes': {'sensors', 'inference'},
}
ABOVE_ALL_ROOMS = {'cli', 'demo', 'executables', '__main__'}
FOR_EVERYBODY = {'__init__', 'arguments', 'interrupts', 'model_metadata', 'resources'}

# Distribution packages a room may import beside the standard library. ROS is for nodes alone.
ARRAYS = {'numpy', 'cv2'}
THIRD_PARTY = {
    # What rosbags decompresses with.
    'sensors': ARRAYS | {'rosbags', 'lz4', 'backports', 'compression'},
    'inference': ARRAYS | {'onnxruntime', 'tqdm'},
    'quantization': {'onnx', 'onnxruntime', 'tqdm'},
    'simulation': ARRAYS | {'rosbags', 'tqdm'},
    # onnxruntime: an export is compared with what it was exported from.
    'learning': ARRAYS
    | {'rosbags', 'tqdm', 'torch', 'pytorch_lightning', 'onnx', 'onnxruntime', 'webdataset'}
    # google: protobuf's own error for a file that is no onnx.
    | {'google'},
    'evaluation': ARRAYS | {'rosbags', 'tqdm', 'av', 'rerun', 'ray', 'markdown_it'},
    'nodes': ARRAYS | {'rosbags'},
    'demo': {'numpy', 'tqdm'},
}

# Where the topics' common prefix is named in order to leave them out.
PASSES_GROUND_TRUTH_BY = {
    'sensors/recording.py',
    'sensors/topics.py',
    'nodes/bag_player_node.py',
}


def ros_packages() -> set[str]:
    """The ROS packages of package.xml: those are importable in nodes/ only."""
    depends = ElementTree.parse(ROOT / 'package.xml').findall('exec_depend')
    names = {str(depend.text) for depend in depends}
    return {name for name in names if not name.startswith('python3-')} | {'radar_msgs'}


def python_files() -> list[Path]:
    return sorted(SOURCES.rglob('*.py'))


def room_of(path: Path) -> str:
    """The room of a file, or the module's own name for one directly in the package."""
    relative = path.relative_to(SOURCES)
    return relative.parts[0] if len(relative.parts) > 1 else path.stem


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports anywhere in it, with the line, relative ones resolved."""
    package = [PACKAGE, *path.relative_to(SOURCES).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from radar_camera_ssl import learning` imports a room by its alias.
                yield node.lineno, f'{module}.{alias.name}'
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition('.')[2] in ('import_module', '__import__')
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def offences(path: Path) -> list[str]:
    """What a file imports against the rules, one line each."""
    room = room_of(path)
    found = []
    for line, module in imported_modules(path):
        parts = module.split('.')
        where = f'{path.relative_to(ROOT)}:{line} imports {module}'
        if parts[0] == PACKAGE:
            target = parts[1] if len(parts) > 1 else '__init__'
            if room in ABOVE_ALL_ROOMS:
                continue
            allowed = FOR_EVERYBODY | {room} | ROOMS.get(room, set())
            if target in set(ROOMS) | ABOVE_ALL_ROOMS and target not in allowed:
                found.append(f'{where}: {room} must not know {target}')
        elif parts[0] == 'torch' and room != 'learning':
            found.append(f'{where}: torch belongs to learning')
        elif parts[0] in ros_packages() or parts[0].endswith(('_msgs', '_interfaces')):
            if room != 'nodes':
                found.append(f'{where}: ROS belongs to nodes')
        elif parts[0] not in sys.stdlib_module_names | THIRD_PARTY.get(room, set()):
            found.append(f'{where}: {room} does without {parts[0]}')
    return found


@pytest.mark.parametrize('path', python_files(), ids=lambda path: str(path.relative_to(SOURCES)))
def test_file_imports_only_what_its_room_may(path: Path) -> None:
    assert offences(path) == []


def test_every_room_is_in_the_table() -> None:
    folders = {path.parent.name for path in SOURCES.glob('*/__init__.py')}
    assert folders == set(ROOMS)
    modules = {path.stem for path in SOURCES.glob('*.py')}
    assert modules <= ABOVE_ALL_ROOMS | FOR_EVERYBODY


@pytest.mark.parametrize(
    ('room', 'statement'),
    [
        ('inference', 'import torch'),
        ('sensors', 'import rclpy'),
        ('evaluation', 'from sensor_msgs.msg import Image'),
        ('inference', 'from radar_camera_ssl import learning'),
        ('nodes', 'from ..learning import export'),
        ('nodes', 'def f():\n    from radar_camera_ssl.learning.export import export'),
        ('evaluation', "import importlib\nimportlib.import_module('torch')"),
        ('learning', 'from radar_camera_ssl.evaluation.ground_truth import read'),
        ('sensors', 'import scipy'),
    ],
)
def test_a_breach_is_seen(
    room: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / PACKAGE
    (sources / room).mkdir(parents=True)
    breach = sources / room / 'breach.py'
    breach.write_text(statement)
    monkeypatch.setattr(sys.modules[__name__], 'SOURCES', sources)
    monkeypatch.setattr(sys.modules[__name__], 'ROOT', tmp_path)
    (tmp_path / 'package.xml').write_text('<package><exec_depend>rclpy</exec_depend></package>')
    assert len(offences(breach)) == 1


def documentation(tree: ast.AST) -> set[int]:
    """The identities of the docstring nodes of a file."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def names_ground_truth(path: Path) -> list[int]:
    """The lines where code, not documentation, names a ground truth topic."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    documented = documentation(tree)
    lines = []
    for node in ast.walk(tree):
        text = ''
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = '' if id(node) in documented else node.value
        elif isinstance(node, ast.Name):
            text = node.id
        elif isinstance(node, ast.Attribute):
            text = node.attr
        elif isinstance(node, ast.alias):
            text = node.name
        if 'ground_truth' in text.lower():
            lines.append(getattr(node, 'lineno', 0))
    return lines


def test_only_evaluation_reads_ground_truth() -> None:
    may_name_it = {'evaluation', 'simulation'}  # the latter writes it
    named = {
        str(path.relative_to(SOURCES)): lines
        for path in python_files()
        if room_of(path) not in may_name_it and (lines := names_ground_truth(path))
    }
    assert set(named) <= PASSES_GROUND_TRUTH_BY


def test_a_reader_of_ground_truth_is_seen(tmp_path: Path) -> None:
    reader = tmp_path / 'reader.py'
    reader.write_text('"""About /ground_truth/instances."""\n\nTOPIC = \'/ground_truth/x\'\n')
    assert names_ground_truth(reader) == [3]


def import_whole(rooms: tuple[str, ...]) -> set[str]:
    """Import every module of the rooms in a fresh interpreter; return the packages loaded."""
    modules = [
        '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        for room in rooms
        for path in sorted((SOURCES / room).rglob('*.py'))
    ]
    program = textwrap.dedent(f"""
        import importlib, sys
        for name in {modules!r}:
            try:
                importlib.import_module(name)
            except RuntimeError as error:  # a filter for a ROS package that is not installed
                assert type(error).__name__ == 'MissingPackageError', error
        print('loaded:', *sorted({{name.partition('.')[0] for name in sys.modules}}))
    """)
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith('loaded:'))
    return set(line.split()[1:])


def test_core_loads_neither_torch_nor_ros() -> None:
    loaded = import_whole(('sensors', 'inference', 'simulation'))
    assert not loaded & {'torch', 'rclpy', 'sensor_msgs'}


def test_vehicle_loads_no_torch() -> None:
    if importlib.util.find_spec('rclpy') is None:
        pytest.skip('rclpy is not installed: the nodes cannot be imported')
    loaded = import_whole(('sensors', 'inference', 'nodes'))
    assert 'rclpy' in loaded
    assert not loaded & {'torch', 'onnx'}


def test_the_tests_are_collected_without_torch(without: Callable[[str], Path]) -> None:
    """Most Pythons have no CPU build of it, and `make test` is to run there."""
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', '-p', 'no:cacheprovider'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, 'PYTHONPATH': str(without('torch'))},
    )
    assert done.returncode == 0, done.stdout
