# SPDX-License-Identifier: Apache-2.0
"""Which drives are written anew, and by what data is told from other data."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import pytest

pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from toy_bags import toy_frames, write_bag, write_toy_bag
from toy_shards import FORM, FRAMES, content, prepared

from radar_camera_ssl.learning import shards
from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.shards import ShardSettings, write_drive
from radar_camera_ssl.sensors.messages import image as image_message
from radar_camera_ssl.sensors.recording import RecordingError
from radar_camera_ssl.simulation import messages


def test_prepared_drives_are_not_read_again_and_outdated_ones_are(tmp_path):
    bag = write_toy_bag(tmp_path / 'bags' / 'toy', 1, 2, 'points')
    store = tmp_path / 'store'
    said: list[str] = []

    def prepare(form=FORM, **options) -> int:
        prepare_drives([bag], store, form, report=said.append, **options)
        return len(said)

    assert prepare() == prepare() == 1
    (store / 'toy' / 'summary.json').write_text('{"bag": ')
    assert prepare() == 2
    smaller = replace(FORM, max_returns=16)
    assert prepare(smaller) == 3
    assert prepare(smaller, slop_s=0.04) == 4
    assert prepare(smaller, slop_s=0.04, source=BagSource(image_topic=messages.IMAGE)) == 5
    # Written anew and as large, such as with one sign corrected.
    for file in bag.iterdir():
        os.utime(file)
    assert prepare() == prepare() == 6
    shutil.rmtree(bag)
    write_toy_bag(bag, 1, 4, 'points')
    prepare()
    assert said[-1].endswith('4 pairs')


def test_the_digest_tells_what_was_read_and_how_but_not_where_from(bag, tmp_path):
    digest = prepared(bag, tmp_path / 'a').digest
    moved = shutil.copytree(bag, tmp_path / 'moved' / bag.name)
    assert prepared(moved, tmp_path / 'b').digest == digest
    aliased = BagSource(aliases=(('rcs', 'velocity'),))
    others = [
        prepared(bag, tmp_path / 'c', source=aliased),
        prepared(bag, tmp_path / 'd', slop_s=0.04),
        prepared(bag, tmp_path / 'e', replace(FORM, max_returns=3)),
        prepared(write_toy_bag(tmp_path / 'other' / bag.name, 2, FRAMES), tmp_path / 'f'),
    ]
    assert len({digest, *(drive.digest for drive in others)}) == 5


def test_the_digest_tells_content_of_the_same_size(bag, tmp_path, monkeypatch):
    digest = prepared(bag, tmp_path / 'a').digest
    returns = shards._returns
    monkeypatch.setattr(shards, '_returns', lambda *given: -returns(*given))
    other = prepared(bag, tmp_path / 'b')
    sizes = [[file.stat().st_size for file in sorted((tmp_path / name).rglob('*.tar'))]
             for name in 'ab']  # fmt: skip
    assert sizes[0] == sizes[1]
    assert other.digest != digest


def test_an_interrupted_drive_leaves_nothing_that_looks_whole(bag, tmp_path):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_drive(bag, tmp_path / 'drive', ShardSettings(FORM), interrupt)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_written_anew(bag, tmp_path):
    (tmp_path / f'{bag.name}.partial').mkdir()
    (tmp_path / f'{bag.name}.partial' / 'x.tar').write_bytes(b'half')
    (tmp_path / bag.name).mkdir()
    drive = prepared(bag, tmp_path)
    assert len(drive) == FRAMES
    assert [p.name for p in tmp_path.iterdir()] == [bag.name]


@pytest.mark.parametrize('left', [0.5, 0.0, None])
def test_a_shard_that_is_cut_off_or_missing_is_written_anew(bag, tmp_path, left):
    whole = content(prepared(bag, tmp_path).folder)
    (shard,) = (tmp_path / bag.name).glob('*.tar')
    if left is None:
        shard.unlink()
    else:
        shard.write_bytes(whole[0][: int(left * len(whole[0]))])
    with pytest.raises(OSError if left is None else ValueError, match=re.escape(shard.name)):
        Drive(shard.parent)
    assert content(prepared(bag, tmp_path).folder) == whole


def test_bags_of_the_same_name_are_refused(bag, tmp_path):
    with pytest.raises(ValueError, match='same name'):
        prepare_drives([bag, tmp_path / bag.name], tmp_path / 'store', FORM)


def test_processes_write_the_same_as_one_and_stop_at_an_error(toy_bags, tmp_path):
    """The third bag is of no use: the first to get it ends the work, what is complete stays."""
    counted: list[int] = []
    said: list[str] = []
    ((stamp, image, _),) = toy_frames(1, 1)
    message = image_message(stamp, 'camera', image, 'bgr8')
    empty = write_bag(tmp_path / 'empty', [(messages.IMAGE, stamp, message)])
    bags = [*toy_bags[:2], empty]
    with pytest.raises(RecordingError, match='no radar topic'):
        prepare_drives(
            bags, tmp_path / 's', FORM, workers=2, report=said.append, progress=counted.append
        )
    complete = list((tmp_path / 's').iterdir())
    assert complete
    assert {folder.name for folder in complete} <= {'toy_0', 'toy_1'}
    assert 30 <= sum(counted) <= 60
    for folder in complete:
        bag = next(bag for bag in toy_bags if bag.name == folder.name)
        assert content(folder) == content(prepared(bag, tmp_path / 'alone').folder)
