# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess

import pytest

from radar_camera_ssl.learning import source

pytestmark = pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A repository with one commit, for the package to lie in."""
    for name in ('GIT_DIR', 'GIT_WORK_TREE'):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        told = [
            'git',
            '-C',
            str(tmp_path),
            '-c',
            'user.name=t',
            '-c',
            'user.email=t@t',
            *arguments,
        ]
        return subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()

    run('init')
    run('commit', '--allow-empty', '-m', 'One')
    return run


def test_the_commit_is_that_of_the_packages_own_repository(tmp_path, git, monkeypatch):
    monkeypatch.setattr(source, 'PACKAGE', tmp_path.resolve() / 'radar_camera_ssl')
    source.PACKAGE.mkdir()
    assert source.source_commit() == git('rev-parse', '--short', 'HEAD')


def test_a_repository_around_a_virtual_environment_is_not_the_packages(tmp_path, git, monkeypatch):
    installed = tmp_path.resolve() / '.venv' / 'site-packages' / 'radar_camera_ssl'
    monkeypatch.setattr(source, 'PACKAGE', installed)
    installed.mkdir(parents=True)
    assert source.source_commit() == 'unknown'


def test_without_a_repository_the_commit_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.resolve()))
    monkeypatch.setattr(source, 'PACKAGE', tmp_path)
    assert source.source_commit() == 'unknown'
