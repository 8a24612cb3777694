# SPDX-License-Identifier: Apache-2.0
"""The two modalities as arrays: decoding, checking, pairing and reading of recordings."""
