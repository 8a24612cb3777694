# SPDX-License-Identifier: Apache-2.0
"""Training on one machine: correspondence, then extent, then calibration; resumable."""

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
from radar_camera_ssl.learning.extent import hold_out_loss, returns_to_mass
from radar_camera_ssl.learning.memory import keep_freed_memory
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objective import frame_loss, return_loss
from radar_camera_ssl.learning.points_model import PointsModel
from radar_camera_ssl.learning.samples import DriveSamples


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result beside the data; stored in each checkpoint."""

    seed: int = 0
    steps: int = 700
    drives_per_batch: int = 10
    frames_per_drive: int = 4
    returns_per_frame: int = 12
    strongest: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    extent_steps: int = 250
    extent_batch: int = 12
    extent_learning_rate: float = 5e-3
    calibration_pairs: int = 1600
    network: NetworkConfig = field(default_factory=NetworkConfig)


class Trainer:
    """Trains a PointsModel on drives and keeps its state in a folder.

    `run` may be interrupted at any time; a new Trainer on the same folder goes on from the last
    checkpoint, with the same random numbers as if nothing had happened. A folder that holds
    another recipe or other drives is refused with ValueError.
    """

    CHECKPOINT_EVERY = 50

    def __init__(self, drives: Sequence[DriveSamples], recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.drives, self.recipe, self.folder = list(drives), recipe, folder
        self.rng = np.random.default_rng(recipe.seed)
        self.model = PointsModel(recipe.network)
        self.optimiser = torch.optim.AdamW(
            self.model.correspondence.parameters(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        self.extent_optimiser = torch.optim.AdamW(
            self.model.extent.parameters(), lr=recipe.extent_learning_rate
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
        self.extent_optimiser.load_state_dict(state['extent_optimiser'])
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
            'extent_optimiser': self.extent_optimiser.state_dict(),
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
        total = recipe.steps + recipe.extent_steps
        started = time.monotonic()
        with tqdm(total=total, initial=self.step, unit='step', disable=not progress) as bar:
            try:
                while self.step < total:
                    if self.step < recipe.steps:
                        figures = self._correspondence_step()
                    else:
                        figures = self._extent_step()
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
            self._calibrate()
            self.calibrated = True
        self.save()
        return self.model.eval()

    def _correspondence_step(self) -> dict[str, float]:
        recipe, net = self.recipe, self.model.correspondence
        self.model.train()
        for group in self.optimiser.param_groups:
            group['lr'] = recipe.learning_rate * _schedule(self.step, recipe.steps)
        chosen = spaced_choice(
            self.drives, self.rng, recipe.drives_per_batch, recipe.frames_per_drive
        )
        batch = gather(self.drives, chosen)
        images, augmentation = augment(batch.images, self.rng)
        images = images.contiguous(memory_format=torch.channels_last)
        returns, frame = _sample_returns(batch, self.rng, recipe.returns_per_frame)
        with torch.autocast('cpu', torch.bfloat16):
            descriptors = net.image_encoder(images)
        z = net.evidence(
            returns, descriptors.float().contiguous(), augmentation.shift, augmentation.mirrored
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

    def _extent_step(self) -> dict[str, float]:
        recipe = self.recipe
        self.model.eval()
        self.model.extent.train()
        chosen = [
            (d, int(self.rng.integers(1, len(self.drives[d]) - 1)))
            for d in self.rng.integers(len(self.drives), size=recipe.extent_batch)
        ]
        descriptors, given, held_out = self._split_returns(chosen, share=None)
        intensity = self.model.extent(descriptors, *given)
        loss = hold_out_loss(intensity, held_out)
        self.extent_optimiser.zero_grad()
        loss.backward()
        self.extent_optimiser.step()
        return {'extent_loss': float(loss.detach())}

    @torch.no_grad()
    def _split_returns(
        self, chosen: Sequence[tuple[int, int]], share: float | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Given and held-out mass in the images of the chosen pairs.

        Given: a random share of the pair's returns (`share`, or one drawn per pair). Held out: the
        rest, and the returns of the radar frames before and after it in the same image.
        """
        own = gather(self.drives, chosen)
        around = [gather(self.drives, [(d, i + k) for d, i in chosen]) for k in (-1, 1)]
        descriptors = self.model.correspondence.image_encoder(own.images)
        shares = self.rng.uniform(0.3, 1.0, len(chosen)) if share is None else share
        drawn = self.rng.random(own.mask.shape) < np.reshape(shares, (-1, 1))
        given_mask = own.mask & torch.from_numpy(drawn)
        parts = [(own.returns, given_mask), (own.returns, own.mask & ~given_mask)]
        parts += [(b.returns, b.mask) for b in around]
        maps = []
        for returns, mask in parts:
            z, posterior = self.model.correspondence(returns, descriptors)
            likelihood = torch.sigmoid(z) if not self.calibrated else None
            if likelihood is None:
                likelihood = self.model.likelihood(z, returns)
            maps.append(returns_to_mass(posterior, likelihood, returns, mask))
        held_out = maps[1][0] + maps[2][0] + maps[3][0]
        return descriptors, maps[0], held_out

    def _calibrate(self) -> None:
        """Fit likelihood, agreement and the heatmap's gain on pairs of the training drives."""
        model = self.model.eval()
        own_z, foreign_z, masks, returns = self._evidence_of_pairs(self.recipe.calibration_pairs)
        flat = masks.flatten()
        calibration.fit_likelihood(
            model.likelihood,
            own_z.flatten()[flat],
            foreign_z.flatten()[flat],
            returns.flatten(0, 1)[flat],
        )
        with torch.no_grad():
            own_ratio = model.likelihood.log_ratio(own_z, returns)
            foreign_ratio = model.likelihood.log_ratio(foreign_z, returns)
            mean_likelihood = float(model.likelihood(own_z, returns)[masks].mean())
        calibration.fit_agreement(model.agreement, own_ratio, foreign_ratio, masks)
        self.calibrated = True
        intensities, wheres = [], []
        for _ in range(20):
            chosen = [
                (d, int(self.rng.integers(1, len(self.drives[d]) - 1)))
                for d in self.rng.integers(len(self.drives), size=self.recipe.extent_batch)
            ]
            descriptors, given, held_out = self._split_returns(chosen, share=1.0)
            with torch.no_grad():
                intensities.append(model.extent(descriptors, *given))
            wheres.append(held_out)
        gain = calibration.heatmap_gain(
            torch.cat(intensities),
            torch.cat(wheres),
            self._visible_likelihood(own_z, returns, masks),
        )
        model.heatmap_gain.fill_(gain)
        self.log.append({'mean_likelihood': mean_likelihood, 'heatmap_gain': gain})

    def _visible_likelihood(self, z: Tensor, returns: Tensor, mask: Tensor) -> float:
        """Mean likelihood where the mass is: the mean weighted by itself."""
        with torch.no_grad():
            likelihood = self.model.likelihood(z, returns)[mask]
        return float((likelihood**2).sum() / likelihood.sum())

    @torch.no_grad()
    def _evidence_of_pairs(self, pairs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Evidence of frames with their own and with a foreign image, each (pairs, N).

        The foreign image is from the same drive half of the time, from another drive otherwise.
        """
        own_z, foreign_z, masks, returns = [], [], [], []
        net = self.model.correspondence
        width = self.drives[0].returns.shape[1]
        done = 0
        while done < pairs:
            chosen = spaced_choice(self.drives, self.rng, 10, 4, spacing_s=0.5)
            batch = gather(self.drives, chosen)
            foreign = _foreign_images(batch, self.rng)
            descriptors = net.image_encoder(batch.images)
            pad = (0, width - batch.mask.shape[1])
            own_z.append(torch.nn.functional.pad(net(batch.returns, descriptors)[0], pad))
            swapped = net(batch.returns, descriptors[foreign])[0]
            foreign_z.append(torch.nn.functional.pad(swapped, pad))
            masks.append(torch.nn.functional.pad(batch.mask, pad))
            returns.append(torch.nn.functional.pad(batch.returns, (0, 0, *pad)))
            done += len(chosen)
        return torch.cat(own_z), torch.cat(foreign_z), torch.cat(masks), torch.cat(returns)


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
