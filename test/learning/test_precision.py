# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.precision import (
    AUTO,
    BFLOAT16,
    FLOAT32,
    computing_in,
    training_precision,
)


def on_cpu(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)


@pytest.mark.parametrize(
    ('capability', 'precision'),
    [('AVX512', BFLOAT16), ('AVX2', FLOAT32), ('DEFAULT', FLOAT32), ('SVE256', FLOAT32)],
)
def test_a_cpu_that_would_imitate_bfloat16_trains_in_float32(monkeypatch, capability, precision):
    on_cpu(monkeypatch, capability)
    assert training_precision(AUTO) == precision
    ones = torch.ones(2, 2)
    with computing_in(AUTO, torch.device('cpu')):
        product = ones @ ones
    assert product.dtype == (torch.bfloat16 if precision == BFLOAT16 else torch.float32)


@pytest.mark.parametrize(('has_it', 'precision'), [(True, BFLOAT16), (False, FLOAT32)])
def test_a_gpu_says_itself_whether_it_computes_in_bfloat16(monkeypatch, has_it, precision):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: has_it)
    assert training_precision(AUTO) == precision


@pytest.mark.parametrize('asked', [BFLOAT16, FLOAT32])
def test_what_is_asked_for_is_taken(monkeypatch, asked):
    on_cpu(monkeypatch, 'AVX2')
    assert training_precision(asked) == asked
