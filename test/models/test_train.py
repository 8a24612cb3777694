# SPDX-License-Identifier: Apache-2.0
"""What `models/train.py` takes from an earlier call, and what it does not."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')


@pytest.fixture
def script():
    """The script as a module."""
    path = Path(__file__).parents[2] / 'models' / 'train.py'
    spec = importlib.util.spec_from_file_location('models_train', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def called(script, monkeypatch):
    """The commands that were called, in place of which a model, or its figures, are written."""
    names = []

    def command_line(arguments):
        names.append(arguments[0])
        given = dict(itertools.pairwise(arguments))
        out = Path(given['--out'])
        out.mkdir(parents=True, exist_ok=True)
        if arguments[0] == 'train':
            if (out / 'steps').exists() and (out / 'steps').read_text() != given['--steps']:
                return 2
            (out / 'steps').write_text(given['--steps'])
            (out / 'model.onnx').write_text(given['--steps'])
        else:
            digest = hashlib.sha256(Path(given['--model']).read_bytes()).hexdigest()
            (out / 'metrics.json').write_text(json.dumps({'model': {'sha256': digest}}))
        return 0

    monkeypatch.setattr(script, 'command_line', command_line)
    return names


def test_another_recipe_is_refused_and_not_answered_with_the_old_model(script, called, tmp_path):
    def judged(steps):
        return script.train_and_judge('points', 0, steps, [], [], tmp_path)

    first = judged(5)
    assert called == ['train', 'evaluate']
    assert judged(5) == first
    assert called == ['train', 'evaluate', 'train']
    assert judged(99) is None


@pytest.mark.parametrize('kind', ['points', 'cube'])
def test_renewing_exports_the_same_weights_and_renews_what_the_card_says(
    script, called, tmp_path, monkeypatch, kind
):
    from radar_camera_ssl.learning.warm_start import load_model

    card, old = (script.HERE / f'{kind}.md').read_text(), script.HERE / f'{kind}.onnx'
    (tmp_path / f'{kind}.md').write_text(card)
    (tmp_path / f'{kind}.onnx').write_bytes(old.read_bytes())
    monkeypatch.setattr(script, 'HERE', tmp_path)
    monkeypatch.setattr(script, 'figures_markdown', lambda metrics, command: 'the new figures')
    assert script.renew(kind, [], tmp_path / 'out') == 0
    assert called == ['evaluate']
    now = (tmp_path / f'{kind}.md').read_text()
    begin, end = card.index(script.FIGURES_BEGIN), card.index(script.FIGURES_END)
    renewed = hashlib.sha256((tmp_path / f'{kind}.onnx').read_bytes()).hexdigest()
    before = card[:begin].replace(hashlib.sha256(old.read_bytes()).hexdigest(), renewed)
    assert renewed in before
    assert now == before + f'{script.FIGURES_BEGIN}the new figures' + card[end:]
    (weights, _), (same, _) = load_model(old), load_model(tmp_path / f'{kind}.onnx')
    for name, tensor in weights.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
    # The template has the same lines.
    assert script.FIGURES_BEGIN in script.CARD
    assert script.FIGURES_END in script.CARD


def test_figures_of_another_model_are_not_taken(script, called, tmp_path):
    old = tmp_path / 'seed_0' / 'evaluation' / 'metrics.json'
    old.parent.mkdir(parents=True)
    old.write_text('{"model": {"sha256": "0"}}')
    metrics = script.train_and_judge('points', 0, 5, [], [], tmp_path)
    assert called == ['train', 'evaluate']
    assert metrics['model']['sha256'] == hashlib.sha256(b'5').hexdigest()
