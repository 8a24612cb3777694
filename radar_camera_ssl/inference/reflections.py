# SPDX-License-Identifier: Apache-2.0
"""An answer's returns as a table: what the node publishes and a recording holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.radar_points import structured_view

if TYPE_CHECKING:
    from .model import Correspondence

# Fields before and after the input's own.
POSITION = ('x', 'y', 'z')
ANSWER = ('u', 'v', 'likelihood')


def reflections_table(correspondence: Correspondence, radar: Any) -> NDArray[Any]:
    """Return the returns used as a structured array (N,), little endian; radar: the message.

    x y z (float32, m), then the input's own fields (for a cube and a RadarScan: velocity, and
    for the latter rcs), then u v (px of the camera image) and likelihood. An own field that has
    one of these last three names is there as input_u, input_v or input_likelihood.
    """
    returns = correspondence.returns
    columns: dict[str, NDArray[Any]] = dict(zip(POSITION, returns.position.T, strict=True))
    own = _inputs_own_fields(radar, returns.row)
    if not own and not hasattr(radar, 'point_step'):
        own = {'velocity': returns.velocity}
        if hasattr(radar, 'returns'):
            own['rcs'] = returns.rcs
    columns |= own
    columns['u'], columns['v'] = correspondence.pixel.T
    columns['likelihood'] = correspondence.likelihood
    dtype = np.dtype([(name, column.dtype, column.shape[1:]) for name, column in columns.items()])
    table = np.empty(len(returns), dtype)
    for name, column in columns.items():
        table[name] = column
    return table


def _inputs_own_fields(radar: Any, rows: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """The input's own fields at the rows used, little endian; {} unless a PointCloud2."""
    if not hasattr(radar, 'point_step'):
        return {}
    cloud = structured_view(radar)[rows]
    names = cloud.dtype.names or ()
    taken = {*names, *POSITION, *ANSWER}
    columns = {}
    for name in names:
        if name in POSITION:
            continue
        free = name
        if name in ANSWER:
            free = f'input_{name}'
            while free in taken:
                free += '_'
        columns[free] = cloud[name].astype(cloud.dtype[name].base.newbyteorder('<'))
    return columns
