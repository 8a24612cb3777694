# SPDX-License-Identifier: Apache-2.0
"""Training on one machine: correspondence, then calibration; resumable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from radar_camera_ssl.learning import calibration
from radar_camera_ssl.learning.batches import Batch, augment, gather, spaced_choice
from radar_camera_ssl.learning.memory import keep_freed_memory
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objective import frame_loss, return_loss
from radar_camera_ssl.learning.points_model import PointsModel
from radar_camera_ssl.learning.samples import DriveSamples


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result beside the data; stored in each checkpoint."""

    seed: int = 0
    steps: int = 1400
    drives_per_batch: int = 10
    frames_per_drive: int = 4
    returns_per_frame: int = 12
    strongest: int = 4
    hide: float = 0.4
    learning_rate: float = 2e-3
    rig_speed: float = 8.0
    weight_decay: float = 1e-4
    calibration_pairs: int = 1600
    network: NetworkConfig = field(default_factory=NetworkConfig)


class Trainer:
    """Trains a PointsModel on drives and keeps its state in a folder.

    `run` may be interrupted at any time; a new Trainer on the same folder goes on from the last
    checkpoint, with the same random numbers as if nothing had happened. A folder that holds
    another recipe or other drives is refused with ValueError, and so are fewer pairs than the
    misaligned ones can be drawn from.
    """

    CHECKPOINT_EVERY = 50
    FEWEST_PAIRS = 40

    def __init__(self, drives: Sequence[DriveSamples], recipe: Recipe, folder: Path) -> None:
        pairs = sum(len(drive) for drive in drives)
        if pairs < self.FEWEST_PAIRS:
            raise ValueError(
                f'{pairs} pairs are too few to train on: {self.FEWEST_PAIRS} at least'
            )
        torch.manual_seed(recipe.seed)
        self.drives, self.recipe, self.folder = list(drives), recipe, folder
        self.rng = np.random.default_rng(recipe.seed)
        self.model = PointsModel(recipe.network)
        net = self.model.correspondence
        rig = {id(p) for p in net.geometry.rig}
        rest = [p for p in net.parameters() if id(p) not in rig]
        self.optimiser = torch.optim.AdamW(
            [
                {'params': rest, 'weight_decay': recipe.weight_decay, 'speed': 1.0},
                {'params': net.geometry.rig, 'weight_decay': 0.0, 'speed': recipe.rig_speed},
            ],
            lr=recipe.learning_rate,
        )
        self.step = 0
        self.calibrated = False
        self.log: list[dict] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    @classmethod
    def reopen(cls, folder: Path) -> Trainer:
        """Open the run in a folder as it stands; its samples must still be there.

        Raises OSError where there is no run and ValueError where the samples are gone.
        """
        state = torch.load(folder / 'checkpoint.pt', weights_only=True)
        identity = json.loads(state['identity'])
        settings = identity['recipe']
        recipe = Recipe(**{**settings, 'network': NetworkConfig(**settings['network'])})
        try:
            drives = [DriveSamples.load(folder / 'samples' / n) for n in identity['drives']]
        except OSError as error:
            raise ValueError(f'{folder}: the samples of the run are gone ({error})') from error
        return cls(drives, recipe, folder)

    @property
    def checkpoint(self) -> Path:
        """The file that holds the whole state."""
        return self.folder / 'checkpoint.pt'

    def _identity(self) -> dict:
        return {'recipe': asdict(self.recipe), 'drives': [d.name for d in self.drives]}

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if json.loads(state['identity']) != self._identity():
            raise ValueError(
                f'{self.folder} holds a run with another recipe or other drives; '
                'choose another folder or remove it'
            )
        self.model.load_state_dict(state['model'])
        self.optimiser.load_state_dict(state['optimiser'])
        self.rng.bit_generator.state = json.loads(state['rng'])
        torch.set_rng_state(state['torch_rng'])
        self.step, self.calibrated = state['step'], state['calibrated']
        self.log = json.loads(state['log'])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            'identity': json.dumps(self._identity()),
            'model': self.model.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'rng': json.dumps(self.rng.bit_generator.state),
            'torch_rng': torch.get_rng_state(),
            'step': self.step,
            'calibrated': self.calibrated,
            'log': json.dumps(self.log),
        }
        partial = self.checkpoint.with_suffix('.partial')
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def run(self, progress: bool = True) -> PointsModel:
        """Train to the end of the recipe and return the calibrated model, in eval mode."""
        keep_freed_memory()
        recipe = self.recipe
        total = recipe.steps
        started = time.monotonic()
        with tqdm(total=total, initial=self.step, unit='step', disable=not progress) as bar:
            try:
                while self.step < total:
                    figures = self._correspondence_step()
                    self.step += 1
                    bar.update(1)
                    if self.step % 10 == 0:
                        bar.set_postfix({k: f'{v:.3f}' for k, v in figures.items()})
                        elapsed = round(time.monotonic() - started, 1)
                        self.log.append({'step': self.step, 'elapsed_s': elapsed, **figures})
                    if self.step % self.CHECKPOINT_EVERY == 0:
                        self.save()
            except KeyboardInterrupt:
                self.save()
                raise
        if not self.calibrated:
            self._settle_normalisation()
            self._calibrate()
            self.calibrated = True
        self.save()
        return self.model.eval()

    def _correspondence_step(self) -> dict[str, float]:
        recipe, net = self.recipe, self.model.correspondence
        self.model.train()
        rate = recipe.learning_rate * _schedule(self.step, recipe.steps)
        for group in self.optimiser.param_groups:
            group['lr'] = rate * group['speed']
        chosen = spaced_choice(
            self.drives, self.rng, recipe.drives_per_batch, recipe.frames_per_drive
        )
        batch = gather(self.drives, chosen)
        images, augmentation = augment(batch.images, self.rng, recipe.hide)
        images = images.contiguous(memory_format=torch.channels_last)
        returns, frame = _sample_returns(batch, self.rng, recipe.returns_per_frame)
        with torch.autocast('cpu', torch.bfloat16):
            descriptors = net.image_encoder(images)
        z = net.evidence(
            returns,
            descriptors.float().contiguous(),
            augmentation.shift,
            augmentation.mirrored,
            augmentation.hidden,
        )
        per_return = return_loss(z, frame)
        per_frame = frame_loss(z, frame, recipe.strongest)
        loss = per_return + per_frame
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        if not torch.isfinite(norm):
            raise FloatingPointError(f'loss is no longer finite at step {self.step}')
        self.optimiser.step()
        hit = (z.detach().argmax(1) == frame).float().mean()
        return {
            'return_loss': float(per_return.detach()),
            'frame_loss': float(per_frame.detach()),
            'retrieval': float(hit),
        }

    @torch.no_grad()
    def _settle_normalisation(self, batches: int = 12) -> None:
        """Take the normalisation's statistics from whole images: training hides parts of them."""
        encoder = self.model.correspondence.image_encoder.train()
        layers = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        rng = np.random.default_rng(self.recipe.seed)
        for _ in range(batches):
            chosen = spaced_choice(self.drives, rng, 10, 4)
            encoder(gather(self.drives, chosen).images)

    def _calibrate(self) -> None:
        """Fit likelihood and agreement on pairs of the training drives."""
        model = self.model.eval()
        # Of few recordings, no pair is needed more than a few times.
        available = 4 * sum(len(drive) for drive in self.drives)
        pairs = min(self.recipe.calibration_pairs, available)
        own, other, masks, returns = self._evidence_of_pairs(pairs)
        flat = masks.flatten()
        calibration.fit_likelihood(
            model.likelihood,
            own.flatten()[flat],
            other.flatten()[flat],
            returns.flatten(0, 1)[flat],
        )
        with torch.no_grad():
            own_ratio = model.likelihood.log_ratio(own, returns)
            foreign_ratio = model.likelihood.log_ratio(other, returns)
            mean_likelihood = float(model.likelihood(own, returns)[masks].mean())
        calibration.fit_agreement(model.agreement, own_ratio, foreign_ratio, masks)
        self.log.append({'mean_likelihood': mean_likelihood})

    @torch.no_grad()
    def _evidence_of_pairs(self, pairs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In-view evidence of frames with their own and with a foreign image, each (pairs, N).

        The foreign image is from the same drive half of the time, from another drive otherwise.
        """
        own, other, masks, returns = [], [], [], []
        net = self.model.correspondence
        width = self.drives[0].returns.shape[1]
        done = 0
        while done < pairs:
            chosen = spaced_choice(self.drives, self.rng, 10, 4, spacing_s=0.5)
            batch = gather(self.drives, chosen)
            foreign = _foreign_images(batch, self.rng)
            descriptors = net.image_encoder(batch.images)
            pad = (0, width - batch.mask.shape[1])
            own.append(torch.nn.functional.pad(net(batch.returns, descriptors)[1], pad))
            swapped = net(batch.returns, descriptors[foreign])[1]
            other.append(torch.nn.functional.pad(swapped, pad))
            masks.append(torch.nn.functional.pad(batch.mask, pad))
            returns.append(torch.nn.functional.pad(batch.returns, (0, 0, *pad)))
            done += len(chosen)
        return torch.cat(own), torch.cat(other), torch.cat(masks), torch.cat(returns)


def _foreign_images(batch: Batch, rng: np.random.Generator) -> Tensor:
    """Index of a misaligned image per pair: same drive or another one, half and half."""
    chosen = []
    for k in range(len(batch.drive)):
        same = batch.drive == batch.drive[k]
        far = torch.abs(batch.stamp - batch.stamp[k]) >= 500_000_000
        options = (same & far) if rng.random() < 0.5 else ~same
        if not bool(options.any()):
            options = far
        if not bool(options.any()):
            raise ValueError('the drives are too short to draw misaligned pairs from')
        chosen.append(int(rng.choice(torch.nonzero(options)[:, 0].numpy())))
    return torch.tensor(chosen)


def _sample_returns(batch: Batch, rng: np.random.Generator, each: int) -> tuple[Tensor, Tensor]:
    """Up to `each` random returns of every frame: (T, 4) and the index of their frame (T,)."""
    returns, frame = [], []
    for k in range(len(batch.mask)):
        count = int(batch.mask[k].sum())
        picked = torch.from_numpy(rng.permutation(count)[:each].copy())
        returns.append(batch.returns[k, picked])
        frame.append(torch.full((len(picked),), k))
    return torch.cat(returns), torch.cat(frame)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up over 5 % of the steps, then half a cosine to zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))
