# SPDX-License-Identifier: Apache-2.0
"""Shards of toy bags."""

from __future__ import annotations

from toy_bags import HEIGHT, WIDTH

from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.shards import SampleFormat

FORM = SampleFormat(height=HEIGHT, width=WIDTH, max_returns=32)
FRAMES = 6


def silent(_: object) -> None:
    pass


def prepared(bag, store, form=FORM, **options) -> Drive:
    return prepare_drives([bag], store, form, report=silent, **options)[0]


def content(folder) -> list[bytes]:
    return [f.read_bytes() for f in sorted(folder.glob('*.tar'))] + [
        (folder / 'index.json').read_bytes()
    ]
