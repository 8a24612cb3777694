# SPDX-License-Identifier: Apache-2.0
"""What installers and colcon read: it must agree with itself and with the code."""

from __future__ import annotations

import ast
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest

import radar_camera_ssl
from radar_camera_ssl import resources

ROOT = Path(__file__).parents[1]
MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
REQUIREMENTS = sorted((ROOT / 'requirements').glob('*.txt'))


def depends(kind: str) -> set[str]:
    return {str(element.text) for element in MANIFEST.findall(kind)}


@pytest.fixture(scope='module')
def setup_arguments() -> dict[str, object]:
    """What setup.py calls setup() with."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'setup'
    )
    computed = ('name', 'packages', 'data_files')
    return {
        str(keyword.arg): ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg not in computed
    }


def test_colcon_takes_the_manifest_as_ament_python() -> None:
    """An invalid manifest makes colcon treat the package as plain Python, without a word."""
    catkin_pkg = pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed')
    found: list[str] = []
    package = catkin_pkg.parse_package(str(ROOT / 'package.xml'), warnings=found)
    package.validate()
    assert found == []
    assert package.get_build_type() == 'ament_python'
    assert package.package_format == 3
    assert package.licenses == ['Apache-2.0']


def test_maintainer_address_is_well_formed() -> None:
    for maintainer in MANIFEST.findall('maintainer'):
        assert re.fullmatch(r'[\w.+-]+@[\w-]+(\.[\w-]+)+', maintainer.get('email', ''))


def test_one_version_everywhere(setup_arguments: dict[str, object]) -> None:
    version = radar_camera_ssl.__version__
    assert MANIFEST.findtext('version') == version
    assert setup_arguments['version'] == version
    changelog = (ROOT / 'CHANGELOG.rst').read_text(encoding='utf-8')
    headings = re.findall(r'^(\d+\.\d+\.\d+) \(', changelog, re.MULTILINE)
    assert headings[0] == version


def test_manifest_and_setup_agree(setup_arguments: dict[str, object]) -> None:
    assert MANIFEST.findtext('name') == resources.PACKAGE
    assert MANIFEST.findtext('license') == setup_arguments['license']
    maintainer = MANIFEST.find('maintainer')
    assert maintainer is not None
    assert maintainer.text == setup_arguments['maintainer']
    assert maintainer.get('email') == setup_arguments['maintainer_email']


def test_colcon_test_finds_pytest(setup_arguments: dict[str, object]) -> None:
    extras = setup_arguments['extras_require']
    assert isinstance(extras, dict)
    (pytest_requirement,) = (
        requirement for requirement in extras['test'] if re.match(r'pytest[<>=]', requirement)
    )
    assert '<9' in pytest_requirement


def test_no_wheel_of_ros_is_required(setup_arguments: dict[str, object]) -> None:
    required = str((setup_arguments['install_requires'], setup_arguments['extras_require']))
    assert 'ros-' not in required
    assert 'rclpy' not in required


def test_every_ros_package_that_is_imported_is_declared() -> None:
    """Except radar_msgs, which the node takes only where it is installed."""
    files = [*(ROOT / 'radar_camera_ssl' / 'nodes').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]
    imported = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition('.')[0])
    python = {'cv2', 'numpy', 'rosbags', 'onnxruntime', 'radar_camera_ssl'}
    ros = imported - set(sys.stdlib_module_names) - python - {'radar_msgs'}
    assert ros <= depends('exec_depend')


def test_entry_points_exist(setup_arguments: dict[str, object]) -> None:
    scripts = setup_arguments['entry_points']
    assert isinstance(scripts, dict)
    for script in scripts['console_scripts']:
        name, _, target = (part.strip() for part in script.partition('='))
        module, _, function = target.partition(':')
        path = ROOT.joinpath(*module.split('.')).with_suffix('.py')
        assert path.is_file(), f'{name} needs {path}'
        functions = {
            node.name
            for node in ast.parse(path.read_text(encoding='utf-8')).body
            if isinstance(node, ast.FunctionDef)
        }
        assert function in functions


def test_executables_go_where_ros2_run_looks() -> None:
    text = (ROOT / 'setup.cfg').read_text(encoding='utf-8')
    for line in ('script_dir', 'install_scripts'):
        assert f'{line}=$base/lib/{resources.PACKAGE}' in text
    assert (ROOT / 'resource' / resources.PACKAGE).is_file()


def test_every_requirement_is_pinned_exactly() -> None:
    names = set()
    pinned = set()
    for path in REQUIREMENTS:
        for raw in path.read_text(encoding='utf-8').splitlines():
            line = raw.partition('#')[0].strip()
            if not line or line.startswith('-'):
                continue
            name = re.split(r'[\[=;<>~ ]', line)[0].lower().replace('_', '-')
            if path.name.startswith('constraints'):
                assert re.fullmatch(
                    r'[\w.\[\]-]+==[\w.]+(; python_version [<>=]+ "3\.\d+")?', line
                )
                pinned.add(name)
            else:
                names.add(name)
    assert names
    assert names <= pinned


def test_requirements_cover_what_setup_asks_for(setup_arguments: dict[str, object]) -> None:
    extras = setup_arguments['extras_require']
    assert isinstance(extras, dict)
    assert 'learning' in extras
    for file, wanted in {'run': setup_arguments['install_requires'], **extras}.items():
        if file == 'test':  # needs other extras besides
            continue
        text = (ROOT / 'requirements' / f'{file}.txt').read_text(encoding='utf-8')
        named = {line for line in text.splitlines() if line and line[0] not in '#-'}
        assert named == {re.split(r'[<>=]', requirement)[0] for requirement in wanted}, file


def test_nothing_names_a_package_host() -> None:
    """Registries are the machine's affair: pip's own configuration says where they are."""
    files = [*REQUIREMENTS, ROOT / 'Makefile', ROOT / 'setup.py', ROOT / '.ci' / 'run']
    for path in files:
        text = path.read_text(encoding='utf-8')
        assert not re.search(r'--(extra-)?index-url|--find-links|https?://', text), path


def test_ci_script_is_executable() -> None:
    assert (ROOT / '.ci' / 'run').stat().st_mode & stat.S_IXUSR


def test_shipped_files_are_found_in_the_checkout() -> None:
    assert resources.share_directory() == ROOT
    assert resources.default_model_path() == ROOT / 'models' / 'points.onnx'
    assert resources.model_path('points.onnx') == resources.model_path('points')


def test_a_model_that_does_not_ship_is_named_with_those_that_do() -> None:
    with pytest.raises(FileNotFoundError, match=r'no model lidar\.onnx in .*; there: .*points'):
        resources.model_path('lidar')


def test_shipped_files_are_found_from_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layouts of pip, of colcon, and of an index of another version in the underlay."""
    own = tmp_path / 'prefix'
    code = own / 'lib' / 'python3.12' / 'site-packages' / resources.PACKAGE
    code.mkdir(parents=True)
    underlay = tmp_path / 'underlay'
    monkeypatch.setattr(resources, '__file__', str(code / 'resources.py'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(underlay))
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'elsewhere'))
    with pytest.raises(FileNotFoundError, match='in none of'):
        resources.share_directory()
    for prefix in (underlay, own):  # the underlay serves until the own prefix has the files
        share = prefix / 'share' / resources.PACKAGE
        (share / 'models').mkdir(parents=True)
        (share / 'package.xml').touch()
        assert resources.share_directory() == share


def test_source_distribution_has_what_an_installation_needs(tmp_path: Path) -> None:
    """Built by setuptools alone, offline; a wheel is made of nothing else."""
    pytest.importorskip('setuptools', reason='setuptools is not installed')
    tracked = ['setup.py', 'setup.cfg', 'package.xml', 'LICENSE', 'README.md', 'CHANGELOG.rst']
    copy = tmp_path / 'copy'
    copy.mkdir()
    for name in (*tracked, 'MANIFEST.in', 'pyproject.toml'):
        shutil.copy(ROOT / name, copy)
    for folder in ('radar_camera_ssl', 'resource', 'launch', 'config', 'models'):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns('__pycache__'))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        subprocess.run(
            [sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', str(tmp_path / 'dist')],
            cwd=copy,
            check=True,
            capture_output=True,
            timeout=120,
        )
    (archive,) = (tmp_path / 'dist').iterdir()
    with tarfile.open(archive) as opened:
        held = {'/'.join(name.split('/')[1:]) for name in opened.getnames()}
    shipped = {
        str(path.relative_to(ROOT))
        for folder, pattern in (
            ('launch', '*.launch.py'),
            ('config', '*'),
            ('models', '*.onnx'),
            ('models', '*.md'),
        )
        for path in (ROOT / folder).glob(pattern)
    }
    assert {*tracked, *shipped, 'resource/radar_camera_ssl'} <= held
    assert {'radar_camera_ssl/cli.py', 'radar_camera_ssl/nodes/__init__.py'} <= held


def test_readme_has_the_parameters_of_the_source() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / 'docs' / 'update_readme.py'), '--check'],
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, 'python docs/update_readme.py'


def anchors(document: Path) -> set[str]:
    """What links to a document's headings say, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', document.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_links_of_the_documents_lead_somewhere() -> None:
    documents = [
        *ROOT.glob('*.md'),
        *(ROOT / 'docs').glob('*.md'),
        *(ROOT / 'models').glob('*.md'),
    ]
    for document in documents:
        text = document.read_text(encoding='utf-8')
        for target, anchor in re.findall(r'\]\(([^)#]*)(?:#([^)]+))?\)', text):
            if not re.match(r'https?:', target):
                found = document.parent / target if target else document
                assert found.exists(), f'{document.name}: {target}'
                assert not anchor or anchor in anchors(found), f'{document.name}: #{anchor}'
