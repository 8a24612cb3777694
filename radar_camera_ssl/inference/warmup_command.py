# SPDX-License-Identifier: Apache-2.0
"""The `warmup` subcommand: build the engines of an accelerator ahead of the first drive."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from radar_camera_ssl.resources import default_model_path

from .arguments import add_acceleration_arguments
from .engine_cache import default_cache
from .model import CorrespondenceModel
from .session import TENSORRT, Acceleration

_REFRESH_S = 0.5

Stamps = dict[Path, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `warmup`."""
    parser.add_argument(
        'model', metavar='MODEL', type=Path, nargs='?', help='the shipped points model if none'
    )
    add_acceleration_arguments(parser, required=True)


def run(args: argparse.Namespace) -> int:
    """Open the model as the node would, and say what was built and where.

    Returns 0 only if the first of the providers runs operators of the model, and gives the CPU's
    answers. Raises ModelError where no provider that was asked for does, or where it answers
    otherwise.
    """
    path = args.model or default_model_path()
    wanted = args.providers[0]
    cache = args.cache or default_cache() if TENSORRT in args.providers else None
    before, started = _engines(cache), time.monotonic()
    model = _open(path, args.providers, Acceleration(args.precision, args.cache))
    print('\n'.join(_told(model, before, time.monotonic() - started)))
    if model.provider != wanted:
        print(f'{wanted} does not run: {"; ".join(model.passed_over)}', file=sys.stderr)
        return 1
    return 0


def _open(path: Path, providers: list[str], acceleration: Acceleration) -> CorrespondenceModel:
    """Load the model in a thread, while this one shows that time goes by.

    ONNX Runtime tells no progress. The thread is a daemon, because nothing interrupts it.
    """
    opened: list[CorrespondenceModel | Exception] = []

    def load() -> None:
        try:
            opened.append(CorrespondenceModel.load(path, providers, acceleration=acceleration))
        except Exception as error:  # noqa: BLE001 - raised again below, in the main thread
            opened.append(error)

    loader = threading.Thread(target=load, daemon=True)
    patience = '; new engines take minutes' if TENSORRT in providers else ''
    print(f'{path}: opening on {", ".join(providers)}{patience}', flush=True)
    with tqdm(bar_format='{elapsed}', disable=not sys.stderr.isatty(), leave=False) as bar:
        loader.start()
        while loader.is_alive():
            loader.join(_REFRESH_S)
            bar.refresh()
    if isinstance(opened[0], Exception):
        raise opened[0]
    return opened[0]


def _engines(folder: Path | None) -> Stamps:
    """The engines below a folder, and when each was written; none in no folder."""
    found = folder.rglob('*.engine') if folder else ()
    return {engine.resolve(): engine.stat().st_mtime_ns for engine in found}


def _told(model: CorrespondenceModel, before: Stamps, took_s: float) -> Iterator[str]:
    yield f'ready after {took_s:.1f} s on {model.provider}, in {model.arithmetic}'
    if model.operators is not None:
        shares = ', '.join(f'{n} on {name}' for name, n in model.operators.most_common())
        yield f'operators (an engine is one): {shares}'
    if model.engines is not None:
        engines = _engines(model.engines)
        there = len(engines.items() & before.items())
        size = sum(engine.stat().st_size for engine in engines) / 1e6
        yield (
            f'engines: {len(engines) - there} built, {there} were there, {size:.1f} MB in '
            f'{model.engines}'
        )
    if model.deviation is not None:
        yield f"against the CPU's answers: {model.deviation}"
