# SPDX-License-Identifier: Apache-2.0
"""The exported model behind ONNX Runtime, and the drawing of its answers."""
