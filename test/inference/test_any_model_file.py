# SPDX-License-Identifier: Apache-2.0
"""Whatever a model file holds, loading gives a model or a ModelError: no other way out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.model import CorrespondenceModel

pieces = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 30), st.binary(max_size=30)),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=pieces, cut=st.just(0) | st.integers(0, 4000))
def test_damaged_files(
    tiny_model: Path, tmp_path: Path, changes: list[tuple[int, int, bytes]], cut: int
) -> None:
    data = tiny_model.read_bytes()
    for at, length, other in changes:
        at %= len(data)
        data = data[:at] + other + data[at + length :]
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(data[: max(0, len(data) - cut)])
    # Most of them do not load; a byte that matters to none may.
    with suppress(ModelError):
        CorrespondenceModel.load(path)
