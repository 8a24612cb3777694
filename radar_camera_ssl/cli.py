# SPDX-License-Identifier: Apache-2.0
"""The command line: one subcommand per room, each imported only when it is asked for.

Exit codes: 0 success, 1 failure, 2 wrong use (one line says what), 3 a regression (`evaluate
--fail-on-regression`), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

from radar_camera_ssl import __version__
from radar_camera_ssl.interrupts import insistent_interrupts

PROGRAM = 'radar_camera_ssl'
WRONG_USE = 2
INTERRUPTED = 130

# What a file or a folder named on the command line can be at fault for. By name, because
# importing the rooms that define them would make `--help` slow.
INPUT_ERRORS = (
    ('radar_camera_ssl.sensors.recording', 'RecordingError'),
    ('radar_camera_ssl.inference.errors', 'ModelError'),
    ('radar_camera_ssl.model_metadata', 'ModelMetadataError'),
    ('radar_camera_ssl.evaluation.cluster', 'ClusterError'),
    ('radar_camera_ssl.evaluation.comparison', 'ComparisonError'),
    ('radar_camera_ssl.learning.export', 'ExportError'),
)

# Packages that one option of a command needs, and the extra that brings each.
OPTIONS_EXTRAS = {'ray': 'ray', 'rerun': 'rerun'}


@dataclass(frozen=True)
class Command:
    """One subcommand: where its room keeps it, and what to say about it."""

    module: str
    help: str
    add_arguments: str = 'add_arguments'
    run: str = 'run'
    extra: str = ''  # of setup.py, that brings what the room imports
    resume: str = 'run the same command again to start over'


COMMANDS = {
    'simulate': Command(
        'radar_camera_ssl.simulation.command',
        'write a synthetic drive with exact ground truth as a bag',
    ),
    'train': Command(
        'radar_camera_ssl.learning.command',
        'learn from unlabelled bags which pixels reflect the radar',
        add_arguments='add_train_arguments',
        run='run_train',
        extra='learning',
        resume='run the same command again to go on from the last checkpoint',
    ),
    'export': Command(
        'radar_camera_ssl.learning.command',
        'turn a trained run into a self-describing ONNX model',
        add_arguments='add_export_arguments',
        run='run_export',
        extra='learning',
    ),
    'adapt': Command(
        'radar_camera_ssl.learning.adapt_command',
        'take a model to another rig by half a minute of driving, without training',
        add_arguments='add_adapt_arguments',
        run='run_adapt',
        extra='learning',
    ),
    'quantize': Command(
        'radar_camera_ssl.quantization.command',
        'write a model file with int8 convolutions, calibrated on drives',
        extra='quantization',
    ),
    'evaluate': Command(
        'radar_camera_ssl.evaluation.command',
        'replay bags through a model: figures beside blind baselines, overlay video',
        extra='evaluation',
    ),
    'warmup': Command(
        'radar_camera_ssl.inference.warmup_command',
        'build the engines of an accelerator ahead of the first drive, and check its answers',
    ),
    'info': Command(
        'radar_camera_ssl.inference.command',
        'show what a model file says about itself',
    ),
}


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports wrong use in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with code 2."""
        self.exit(WRONG_USE, f'{self.prog}: {message} (see {self.prog} --help)\n')


class DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with the default of each argument, where it is one that says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False) or action.default == []:
            return action.help
        return super()._get_help_string(action)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` default to `sys.argv[1:]`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((argument for argument in given if not argument.startswith('-')), None)
    try:
        with insistent_interrupts():
            return _main(chosen, given)
    except KeyboardInterrupt:
        said = ': interrupted'
        if chosen in COMMANDS:
            said = f' {chosen}: interrupted; {COMMANDS[chosen].resume}'
        print(f'\n{PROGRAM}{said}', file=sys.stderr)
        return INTERRUPTED


def _main(chosen: str | None, given: list[str]) -> int:
    room: ModuleType | None = None
    if chosen in COMMANDS:
        try:
            room = importlib.import_module(COMMANDS[chosen].module)
        except ModuleNotFoundError as error:
            return _missing_module(chosen, error)
    parser = build_parser(chosen, room)
    try:
        parsed = parser.parse_args(given)
    except SystemExit as stop:  # argparse has said its line, or printed the help
        return stop.code if isinstance(stop.code, int) else WRONG_USE
    if chosen is None or room is None:
        print(f'{PROGRAM}: which command? one of: {", ".join(COMMANDS)}', file=sys.stderr)
        return WRONG_USE
    return _run(chosen, room, parsed)


def build_parser(chosen: str | None, room: ModuleType | None) -> argparse.ArgumentParser:
    """Return the parser; only the chosen subcommand has its arguments, from its imported room."""
    parser = OneLineParser(
        prog=PROGRAM,
        description='Which pixels are the source of the radar reflections, learnt without labels.',
        epilog=f'{PROGRAM} COMMAND --help tells the rest.',
    )
    parser.add_argument('--version', action='version', version=f'{PROGRAM} {__version__}')
    commands = parser.add_subparsers(metavar='COMMAND')
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + '.',
            formatter_class=DefaultsFormatter,
        )
        if name == chosen and room is not None:
            getattr(room, command.add_arguments)(subparser)
    return parser


def _run(name: str, room: ModuleType, parsed: argparse.Namespace) -> int:
    """Run a subcommand and turn what can go wrong from outside into one line and an exit code."""
    try:
        return int(getattr(room, COMMANDS[name].run)(parsed))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing left to say, and nowhere. The
        # interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        return _missing_module(name, error)
    except OSError as error:
        print(f'{PROGRAM} {name}: {error}', file=sys.stderr)
        return WRONG_USE if isinstance(error, FileNotFoundError | FileExistsError) else 1
    except (RuntimeError, ValueError) as error:
        if not isinstance(error, _input_errors()):
            raise
        print(f'{PROGRAM} {name}: {error}', file=sys.stderr)
        return WRONG_USE


def _input_errors() -> tuple[type[BaseException], ...]:
    """Return the classes of INPUT_ERRORS among the modules that have been imported."""
    return tuple(
        getattr(sys.modules[module], name)
        for module, name in INPUT_ERRORS
        if module in sys.modules
    )


def _missing_module(name: str, error: ModuleNotFoundError) -> int:
    """Say which package is missing and what brings it."""
    missing = error.name or str(error)
    if missing.partition('.')[0] == PROGRAM:
        raise error
    extra = OPTIONS_EXTRAS.get(missing.partition('.')[0], COMMANDS[name].extra)
    which = f'the extra "{extra}", ' if extra else ''
    print(
        f'{PROGRAM} {name}: needs the Python package {missing} '
        f'({which}requirements/{extra or "run"}.txt)',
        file=sys.stderr,
    )
    return WRONG_USE
