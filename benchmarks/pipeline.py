# SPDX-License-Identifier: Apache-2.0
"""How near the node comes to the bare model, and how far it is from the node one writes first.

    OMP_NUM_THREADS=1 python benchmarks/pipeline.py [--runs 3] [--inputs raw jpeg]

A simulated drive (1280x720, a radar of points) is serialised in memory and published to an
unmodified node in its own process, with the parameters and over the transport that are shipped.
Rivals in turns, on the same inputs: the model's bare `session.run` with ready tensors, alone (the
limit; in turns with the node's trials, for a machine's speed drifts) and beside a process
that takes the same images (what the machine has left of it); the node one writes first
(pipeline_naive.py); a node that answers without looking (pipeline_echo.py: what sending and taking
alone cost). The bare model runs one after the other, which is the limit of the rate, and at the
rate of the pairs, which is that of the latency: a core that has slept in between is slower.
The peak rate is found by bisection, at no more than 5 % lost, both sensors triggered together.
Then the camera runs at fixed rates beside a radar of 20 Hz. Latency is from the instant before the
driver's publish call to the listener's callback, in two other processes: it contains the transport
of an image and of a heatmap. A pair cannot be answered before it is known to be one: what pairing
waits for (a later radar frame, or the next stamp) is told apart from what the node does, which
counts from the message that completes the pair.
Prints a table and writes out/benchmarks/pipeline.json and pipeline.md after each run. Linux only.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pipeline_table
import rclpy
from numpy.typing import NDArray
from pairing import Ours, Simulated, Synchronizer
from pipeline_driver import Driver, Event, Listener, Sent, free_running, triggered, wait_until
from pipeline_inputs import IMAGE_TOPIC, RADAR_TOPIC, Inputs, load
from soak import LARGE_IMAGES, NODE, usage
from tqdm import tqdm

from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.nodes.allocator import keep_large_buffers
from radar_camera_ssl.nodes.child_process import ChildProcess
from radar_camera_ssl.nodes.lifecycle_client import bring_up
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.resources import default_model_path

PARAMETERS = Path(__file__).parents[1] / 'config' / 'reflection_heatmap.yaml'
RATES_HZ = (10.0, 20.0, 30.0)
RADAR_HZ = 20.0
LARGEST_LOSS = 0.05
SETTLING_SHARE = 1 / 3
"""Of a trial; then queues are as full as they get, and hide no loss."""
TRIAL_S = 1.2
BESIDE_SHARE = 0.85
"""Of the bare rate: how many images come beside a bare model that runs as often as it can."""
THREADS = Settings().inference_threads


@dataclass(frozen=True)
class Subject:
    """What answers the sensors: `python -m module arguments`, heatmaps on `topic`."""

    name: str
    module: str
    arguments: tuple[str, ...]
    topic: str
    pairing: type[Synchronizer] | None
    """What decides when a pair is complete; None where an image is answered at once."""
    managed: bool = False


def subjects(kind: str, model: Path) -> list[Subject]:
    """Give the rivals for a kind of image."""
    remaps = [f'~/input/image:={IMAGE_TOPIC}', f'~/input/radar:={RADAR_TOPIC}']
    transport = 'compressed' if kind == 'jpeg' else 'raw'
    ros = ['--ros-args', '--params-file', str(PARAMETERS)]
    ros += [word for remap in remaps for word in ('-r', remap)]
    ros += ['-p', f'image_transport:={transport}', '-p', f'model_path:={model}']
    naive = (kind, str(model), str(THREADS))
    found = [
        Subject('node', NODE, tuple(ros), '/reflection_heatmap/output/heatmap', Ours, True),
        Subject('naive', 'pipeline_naive', naive, '/naive/heatmap', Simulated),
    ]
    if kind == 'raw':
        found.append(Subject('echo', 'pipeline_echo', (kind,), '/echo/heatmap', None))
    return found


class Bench:
    """A subject that runs, the sensors before it and the listener behind it."""

    def __init__(self, subject: Subject, inputs: Inputs, stack: ExitStack) -> None:
        """Start everything and see the first heatmap; what was started ends with `stack`."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._subject = subject
        self.process = stack.enter_context(
            ChildProcess(subject.module, subject.arguments, folder / 'log', os.environ)
        )
        self._listener = stack.enter_context(Listener(folder, subject.topic))
        self.driver = Driver(inputs)
        stack.callback(self.driver.close)
        if subject.managed:
            bring_up('/reflection_heatmap')
        what = f'{subject.name} does not subscribe'
        wait_until(lambda: self.driver.is_heard, what, self.process)
        wait_until(self._answers, f'{subject.name} does not answer', self.process)

    def _answers(self) -> bool:
        return self.answers(triggered(20.0, 10)) > 0

    def answers(self, events: Sequence[Event]) -> int:
        """Play what is due and count the heatmaps that come of it."""
        known = len(self._listener.heard())
        self.driver.play(events)
        return len(self._listener.settle()) - known

    def fixed(self, camera_hz: float, seconds: float) -> dict[str, Any]:
        """Figures at a rate of the camera beside the radar's: ms, MB."""
        known = len(self._listener.heard())
        before = usage(self.process.pid)
        sent = self.driver.play(free_running(camera_hz, RADAR_HZ, seconds))
        heard = self._listener.settle()[known:]
        after = usage(self.process.pid)
        cpu_ms = (after['cpu_s'] - before['cpu_s']) * 1e3 / max(1, len(heard))
        figures = latencies(sent, heard, self._subject.pairing)
        return figures | {'cpu_ms_per_heatmap': cpu_ms, 'rss_mb': after['rss_mb']}

    def stages(self) -> dict[str, float]:
        """The node's own account of its last seconds: median by stage, ms."""
        return {
            key.split('.')[1]: float(value)
            for key, value in self.driver.diagnostics().items()
            if key.startswith('latency_ms.') and key.endswith('.median')
        }

    def peak(self, limit_hz: float, steps: int) -> dict[str, Any]:
        """The highest rate of heatmaps at no more than LARGEST_LOSS, by bisection."""
        best = 0.0
        low, high = 0.0, limit_hz
        trials = []
        for _ in range(steps):
            rate_hz = (low + high) / 2
            trial = self._trial(rate_hz)
            trials.append(trial)
            if trial['loss'] <= LARGEST_LOSS:
                low, best = rate_hz, max(best, trial['heard_hz'])
            else:
                high = rate_hz
        return {'peak_hz': best, 'trials': trials}

    def _trial(self, rate_hz: float) -> dict[str, float]:
        known = len(self._listener.heard())
        sent = self.driver.play(triggered(rate_hz, max(6, round(TRIAL_S * rate_hz))))
        instants = np.array([one.instant for one in sent if one.topic == IMAGE_TOPIC])
        heard = self._listener.settle()[known:, 1]
        instants = instants[int(len(instants) * SETTLING_SHARE) :]
        begin, end = instants[0], instants[-1]
        seconds = (end - begin) * 1e-9
        heard_hz = float(((heard > begin) & (heard <= end)).sum() / seconds)
        sent_hz = (len(instants) - 1) / seconds
        return {'sent_hz': sent_hz, 'heard_hz': heard_hz, 'loss': max(0.0, 1 - heard_hz / sent_hz)}


def latencies(
    sent: list[Sent], heard: NDArray[np.int64], pairing: type[Synchronizer] | None
) -> dict[str, Any]:
    """Latencies of the heatmaps heard, ms; which message completed a pair, by the pairing itself.

    all: from the image. wait: of it, until the pair was complete. working: from then on.
    driver_call: what publishing an image takes its driver.
    after_image: `working` where the image completed the pair: one that the radar completes was
    taken before, which would flatter.
    after_call: the same without the driver's own call, after which the image is in shared memory.
    answered: the share of the pairs that got a heatmap; a latency is of those alone.
    """
    image = {one.stamp: one.instant for one in sent if one.topic == IMAGE_TOPIC}
    completed: dict[int, Sent] = {}
    synchronizer = pairing() if pairing else None
    for one in sent:
        is_image = one.topic == IMAGE_TOPIC
        if synchronizer is not None:
            pairs = synchronizer.add(int(is_image), one.stamp)
        else:
            pairs = [(one.stamp, one.stamp)] if is_image else []
        completed |= {stamp: one for _, stamp in pairs}
    rows = [
        (
            instant - image[stamp],
            instant - by.instant,
            instant - by.returned,
            by.topic == IMAGE_TOPIC,
        )
        for stamp, instant in heard.tolist()
        if (by := completed.get(stamp)) is not None
    ]
    whole, working, after_call, by_image = np.array(rows, np.int64).reshape(-1, 4).T
    return {
        'driver_call': percentiles(
            np.array([one.returned - one.instant for one in sent if one.topic == IMAGE_TOPIC])
        ),
        'pairs': len(completed),
        'heatmaps': len(heard),
        'answered': len(completed.keys() & set(heard[:, 0].tolist())) / max(1, len(completed)),
        'all': percentiles(whole),
        'wait': percentiles(whole - working),
        'working': percentiles(working),
        'after_image': percentiles(working[by_image > 0]),
        'after_call': percentiles(after_call[by_image > 0]),
    }


def percentiles(nanoseconds: NDArray[np.int64]) -> dict[str, float] | None:
    """Median, 99th percentile, jitter (mean difference of neighbours), and how many; ms."""
    if not len(nanoseconds):
        return None
    median, p99 = np.percentile(nanoseconds, (50, 99)) * 1e-6
    jitter = np.abs(np.diff(nanoseconds)).mean() * 1e-6 if len(nanoseconds) > 1 else 0.0
    return {'median': median, 'p99': p99, 'jitter': float(jitter), 'count': len(nanoseconds)}


class Bare:
    """The model without a node: `session.run` with the tensors of one pair, in a process."""

    def __init__(self, model: Path, inputs: Inputs, folder: Path) -> None:
        """Write the tensors to `folder`."""
        self._model, self._folder = model, folder
        feed = CorrespondenceModel.load(model).feed(inputs.image, inputs.returns)
        np.savez(folder / 'tensors.npz', **feed)

    def figures(
        self,
        seconds: float,
        rate_hz: float = 0.0,
        meanwhile: Callable[[], list[Sent]] | None = None,
    ) -> dict[str, Any]:
        """Run for so long, at a rate or one after the other (0), while something is sent or not.

        Returns percentiles, ms, and rate_hz.
        """
        result, ready = self._folder / 'took.npy', self._folder / 'took.npy.ready'
        for path in (result, ready):
            path.unlink(missing_ok=True)
        words = [self._model, self._folder / 'tensors.npz', THREADS, seconds, rate_hz, result]
        log = self._folder / 'bare.log'
        with ChildProcess('pipeline_bare', [str(word) for word in words], log, os.environ) as one:
            wait_until(ready.exists, 'the bare model does not start', one)
            sent = meanwhile() if meanwhile else []
            wait_until(result.exists, 'the bare model does not run', one)
        took = np.load(result)
        if sent:
            took = took[(took[:, 0] >= sent[0].instant) & (took[:, 1] <= sent[-1].returned)]
        begin, end = took.T
        rate = (len(took) - 1) * 1e9 / (begin[-1] - begin[0])
        return {**(percentiles(end - begin) or {}), 'rate_hz': float(rate)}

    def alone(self, seconds: float) -> dict[str, Any]:
        """Figures with the machine to itself: as often as it can, and at the pairs' rate."""
        return {'alone': self.figures(seconds), 'at_rate': self.figures(seconds, RADAR_HZ)}

    def beside(self, driver: Driver, seconds: float, rate_hz: float) -> dict[str, Any]:
        """Figures while somebody takes the images: at the pairs' rate, and as often as it can."""
        free = free_running(30.0, RADAR_HZ, seconds)
        fast = triggered(rate_hz, round(seconds * rate_hz))
        return {
            'beside_30_hz': self.figures(seconds, RADAR_HZ, lambda: driver.play(free)),
            'beside_peak': self.figures(seconds, 0.0, lambda: driver.play(fast)),
        }


def run(
    args: argparse.Namespace, kept: dict[str, Inputs], limit: Bare, bar: tqdm
) -> dict[str, Any]:
    """One run of everything: figures by kind of image and subject."""
    result: dict[str, Any] = {kind: {} for kind in kept}
    result['bare'] = {}
    for kind, inputs in kept.items():
        near = [limit.alone(args.seconds)]
        for subject in subjects(kind, args.model):
            bar.set_postfix_str(f'{subject.name}, {kind}')
            with ExitStack() as stack:
                bench = Bench(subject, inputs, stack)
                figures: dict[str, Any] = {'at_hz': {}}
                for hz in args.rates:
                    at_rate = figures['at_hz'][f'{hz:g}'] = bench.fixed(hz, args.seconds)
                    if subject.managed:
                        at_rate['stages'] = bench.stages()
                        near.append(limit.alone(args.seconds))
                bare_hz = near[0]['alone']['rate_hz']
                if subject.pairing is not None:
                    figures |= bench.peak(1.15 * bare_hz, args.steps)
                else:
                    rate_hz = BESIDE_SHARE * bare_hz
                    result['bare'] |= limit.beside(bench.driver, args.seconds, rate_hz)
                figures['rss_mb'] = usage(bench.process.pid)['rss_mb']
            if subject.managed:
                near.append(limit.alone(args.seconds))
                figures['bare'] = means(near)
            result[kind][subject.name] = figures
            bar.update()
    nearest = [result[kind]['node']['bare'] for kind in kept]
    return result | {'bare': result['bare'] | means(nearest)}


def means(several: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean of each figure."""
    return {
        name: {key: float(np.mean([one[name][key] for one in several])) for key in figures}
        for name, figures in several[0].items()
    }


def prepare_environment() -> None:
    """Set what this process and the nodes that it starts need in theirs."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        os.environ.setdefault(name, str(LARGE_IMAGES))
    # Where `python -m` finds the rivals.
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])]
    os.environ['PYTHONPATH'] = os.pathsep.join(paths)
    keep_large_buffers()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--inputs', nargs='+', choices=('raw', 'jpeg'), default=['raw', 'jpeg'])
    parser.add_argument('--rates', type=float, nargs='+', default=RATES_HZ, help='of the camera')
    parser.add_argument('--seconds', type=float, default=2.5, help='at each of them')
    parser.add_argument('--steps', type=int, default=6, help='of the bisection')
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks'))
    args = parser.parse_args()
    args.model = args.model.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    prepare_environment()
    kept = {kind: load(args.out, kind) for kind in args.inputs}
    runs: list[dict[str, Any]] = []
    per_run = sum(len(subjects(kind, args.model)) for kind in kept)
    rclpy.init(args=[])
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            tqdm(total=args.runs * per_run, unit='subject') as bar,
        ):
            limit = Bare(args.model, next(iter(kept.values())), Path(folder))
            for _ in range(args.runs):
                runs.append(run(args, kept, limit, bar))
                pipeline_table.save(args.out, args.model, kept, runs)
    except KeyboardInterrupt:
        print(f'interrupted: {len(runs)} whole runs are written')
        return 130
    finally:
        rclpy.try_shutdown()
    print((args.out / 'pipeline.md').read_text(encoding='utf-8'))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
