# SPDX-License-Identifier: Apache-2.0
"""The package for colcon (ament_python) and for pip: one description serves both."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'radar_camera_ssl'
SHARE = f'share/{PACKAGE}'

setup(
    name=PACKAGE,
    version='0.1.0',
    description='Which pixels are the source of the radar reflections, learnt without labels',
    maintainer='radar_camera_ssl maintainers',
    maintainer_email='maintainers@radar-camera-ssl.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/launch', sorted(glob('launch/*.launch.py'))),
        (f'{SHARE}/config', sorted(glob('config/*'))),
        (f'{SHARE}/models', sorted(glob('models/*.onnx') + glob('models/*.md'))),
    ],
    # What a vehicle's distribution provides (rclpy, messages) stays out of here: package.xml
    # names it, and the PyPI wheels of ROS would fight with it. Lower bounds are Jazzy's.
    install_requires=[
        'numpy>=1.26',
        'onnxruntime>=1.17',
        # Version 5 renumbers OpenCV's types, which breaks cv_bridge.
        'opencv-python-headless>=4.6,<5',
        # Its MCAP reader is built upon: sensors/mcap_index.py.
        'rosbags>=0.11.7,<0.12',
        'tqdm>=4.66',
    ],
    # None for a GPU: onnxruntime-gpu takes the place of onnxruntime, and an extra only adds.
    extras_require={
        'evaluation': ['av>=14', 'markdown-it-py>=3'],
        'learning': [
            'onnx>=1.17',
            'onnxscript>=0.5',
            # JPEG with full chroma.
            'opencv-python-headless>=4.7',
            'pytorch-lightning>=2.6',
            'tensorboard>=2.17',
            'torch>=2.6',
            'webdataset>=1.0',
        ],
        'quantization': ['onnx>=1.17'],
        'ray': ['ray>=2.40'],
        'rerun': ['rerun-sdk>=0.39'],
        # `colcon test` runs nothing unless this extra names pytest. Pytest 9 breaks
        # launch_testing of Jazzy.
        'test': [
            'catkin-pkg',
            'hypothesis>=6.98',
            'onnx>=1.17',
            'PyYAML',
            'pytest>=7,<9',
            'pytest-timeout',
            'rosbags-image',
        ],
    },
    zip_safe=True,
    entry_points={
        'console_scripts': [
            'radar_camera_ssl = radar_camera_ssl.cli:main',
            'reflection_heatmap_node = radar_camera_ssl.executables:reflection_heatmap_node',
            'bag_player_node = radar_camera_ssl.executables:bag_player_node',
        ],
    },
)
