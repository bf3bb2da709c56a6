"""Draw a picture whose subject is known, to try networks on."""

from __future__ import annotations

import cv2
import numpy as np

SIDE_PX = 512
"""Side of the square that is drawn, before it gets the size that is asked for."""

# Skin, hair and clothes from 0 to 255; all of them brighter than the wall behind.
_SKIN, _HAIR, _CLOTHES = (240, 190, 160), (150, 95, 50), (225, 215, 190)
_NECK, _EYES, _MOUTH = (215, 160, 130), (50, 35, 30), (170, 70, 70)


def drawn_subject(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a person from the chest up in front of a dark wall.

    What finds any clear subject finds this one, and so does what knows people only.

    Parameters
    ----------
    height, width : int
        Size of the picture, px.

    Returns
    -------
    rgb : (height, width, 3) uint8
    alpha : (height, width) float32 in [0, 1]
        The true matte.
    """
    y, x = (np.mgrid[:SIDE_PX, :SIDE_PX] + 0.5) / SIDE_PX

    def ellipse(left: float, top: float, across: float, down: float) -> np.ndarray:
        return ((x - left) / across) ** 2 + ((y - top) / down) ** 2 < 1

    rgb = np.stack([40 + 30 * y, 60 + 40 * y, 70 + 25 * y], -1)
    rgb += 8 * (np.sin(23 * x + 9 * y) * np.sin(17 * y - 5 * x))[..., None]
    alpha = np.zeros((SIDE_PX, SIDE_PX))
    light = 1.16 - 0.45 * x[..., None]  # from the left
    parts = [
        (ellipse(0.5, 0.31, 0.175, 0.2), _HAIR),
        (ellipse(0.5, 1.02, 0.36, 0.36), _CLOTHES),
        (ellipse(0.5, 0.62, 0.09, 0.12), _NECK),
        (ellipse(0.5, 0.38, 0.15, 0.21), _SKIN),
        (ellipse(0.44, 0.36, 0.022, 0.014) | ellipse(0.56, 0.36, 0.022, 0.014), _EYES),
        (ellipse(0.5, 0.47, 0.05, 0.012), _MOUTH),
    ]
    for where, color in parts:
        rgb[where] = (light * color)[where]
        alpha[where] = 1
    rgb, alpha = (_resized(np.float32(layer), height, width) for layer in (rgb, alpha))
    return rgb.clip(0, 255).round().astype(np.uint8), alpha


def _resized(layer: np.ndarray, height: int, width: int) -> np.ndarray:
    kernel = cv2.INTER_AREA if max(height, width) < SIDE_PX else cv2.INTER_LINEAR
    return cv2.resize(layer, (width, height), interpolation=kernel)
