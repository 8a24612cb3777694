# SPDX-License-Identifier: Apache-2.0
"""Label-free learning of radar-camera correspondence: the only room that knows torch."""
