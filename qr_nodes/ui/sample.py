"""The first start: a picture drawn here, and a ready graph that cuts it out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from qr_nodes import resources
from qr_nodes.errors import WriteError
from qr_nodes.graph import Graph
from qr_nodes.imaging.image_io import write_image
from qr_nodes.qrgraph import load_graph
from qr_nodes.types import Cutout, opaque

WIDTH, HEIGHT = 900, 700
FINE = 2
"""The balloon is drawn this much larger, then shrunk: smooth edges."""

SHARP = np.float32(HEIGHT * FINE)
"""From a distance in the picture's height to one in fine pixels."""

CENTER = 0.64
"""The balloon's axis, as a share of the picture's height from the left."""

TOP, MOUTH = 0.07, 0.68
"""The balloon's upper and lower end, as shares of the picture's height."""

WIDEST = 0.26
"""A distance from the axis that nothing of the balloon reaches."""

GORES = 24
"""Strips of cloth around the balloon."""

CLOTH = np.float32([(232, 72, 56), (250, 178, 60), (252, 238, 214), (40, 140, 150)]) / 255
LIGHT = np.float32([-0.55, -0.5, 0.67])


def start_graph(preset: str = "portrait") -> Graph:
    """Give a preset with the sample as its picture."""
    return load_graph(preset).set_param("load", "path", str(sample_file()))


def sample_file() -> Path:
    """Give the file of the sample picture; draws it the first time.

    Raises
    ------
    WriteError
        There is no place for it.
    """
    file = resources.cache_folder("sample") / "balloon.png"
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"the sample picture cannot be drawn ({error.strerror})."
            raise WriteError(what, str(file.parent), "Check that folder.") from error
        color = balloon()
        write_image(Cutout(color, opaque(HEIGHT, WIDTH)), file)
    return file


def balloon() -> np.ndarray:
    """Draw a hot-air balloon over hills at sunrise, (700, 900, 3) uint8."""
    x, y = _grid(0, WIDTH, 1)
    picture = _sky(x, y)
    for level in range(4):
        picture = _with_hills(picture, x, y, level)
    picture = cv2.GaussianBlur(picture, (0, 0), 5)  # far away: out of focus
    left, right = (int((CENTER + side) * HEIGHT) for side in (-WIDEST, WIDEST))
    x, y = _grid(left, right, FINE)
    part = cv2.resize(picture[:, left:right], x.shape[::-1], interpolation=cv2.INTER_LINEAR)
    for color, alpha in (_ropes(x, y), _basket(x, y), _envelope(x, y)):
        part += alpha[..., None] * (color - part)
    size = (right - left, HEIGHT)
    picture[:, left:right] = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(7).normal(0, 0.008, picture.shape[:2]).astype(np.float32)
    return np.rint(np.clip(picture + grain[..., None], 0, 1) * 255).astype(np.uint8)


def _grid(left: int, right: int, fine: int) -> tuple[np.ndarray, np.ndarray]:
    """Give x and y of the pixels' centres as shares of the picture's height."""
    x = np.arange(left * fine, right * fine, dtype=np.float32)
    y = np.arange(HEIGHT * fine, dtype=np.float32)
    x, y = np.meshgrid(x + np.float32(0.5), y + np.float32(0.5))
    return x / np.float32(HEIGHT * fine), y / np.float32(HEIGHT * fine)


def _ramp(value: np.ndarray, stops: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    at, colors = zip(*stops, strict=True)
    colors = np.float32(colors) / 255
    return np.stack([np.interp(value, at, colors[:, i]).astype(np.float32) for i in range(3)], -1)


def _sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    sky = _ramp(
        y,
        [
            (0, (92, 138, 190)),
            (0.45, (176, 196, 214)),
            (0.72, (248, 212, 176)),
            (1, (246, 190, 150)),
        ],
    )
    glow = np.exp(-((x - 0.16) ** 2 / 0.10 + (y - 0.70) ** 2 / 0.035))
    return sky + glow[..., None] * (np.float32([1.0, 0.93, 0.76]) - sky) * np.float32(0.85)


def _with_hills(picture: np.ndarray, x: np.ndarray, y: np.ndarray, level: int) -> np.ndarray:
    """Lay a chain of hills before the picture; nearer ones are lower, darker and greener."""
    phase = level * 1.7
    ridge = 0.76 + 0.065 * level
    for octave in range(1, 5):
        ridge = ridge + 0.03 / octave * np.sin(x * (2.3 * octave**1.4) + phase * octave)
    color = (
        np.float32([(158, 160, 178), (118, 134, 144), (80, 108, 100), (48, 76, 62)][level]) / 255
    )
    mist = np.clip((y - ridge) * 4, 0, 1)[..., None] * np.float32(0.18)
    alpha = np.clip((y - ridge) * HEIGHT, 0, 1)[..., None]
    return picture + alpha * (color + mist - picture)


def _radius(y: np.ndarray) -> np.ndarray:
    """Give the balloon's radius by height: round above, a cone that closes below."""
    t = np.clip((y - TOP) / (MOUTH - TOP), 0, 1)
    return np.float32(0.262) * np.sqrt(np.clip(t * (1.02 - t), 0, None)) * 2 * (1 - 0.42 * t**2.4)


def _envelope(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shade the balloon's cloth as a body of revolution in the morning's light."""
    radius = _radius(y)
    slope = np.gradient(radius[:, 0], y[1, 0] - y[0, 0])[:, None]
    around = np.clip((x - CENTER) / np.maximum(radius, 1e-4), -1, 1)
    angle = np.arcsin(around) / (2 * np.pi) * GORES
    gore, across = np.floor(angle), angle - np.floor(angle)
    t = np.clip((y - TOP) / (MOUTH - TOP), 0, 1)
    band = (np.abs(t - 0.5 - 0.05 * np.sin(angle * np.pi)) < 0.09).astype(np.intp) * 2
    color = CLOTH[(gore.astype(np.intp) + band) % 2 + band]
    bulge = (across - 0.5) * np.float32(0.5)  # each strip billows a little
    normal = np.stack([around + bulge, -slope + 0 * x, np.sqrt(1 - around**2)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    seam = 1 - np.float32(0.25) * (np.minimum(across, 1 - across) < 0.03)
    shade = (0.34 + 0.78 * lit) * seam
    warm = np.clip(-normal[..., 0], 0, 1) ** 2 * np.float32(0.14)
    color = color * shade[..., None] + warm[..., None] * np.float32([1, 0.8, 0.5])
    gloss = np.clip(lit, 0, 1) ** 24 * np.float32(0.22)
    alpha = np.clip((radius - np.abs(x - CENTER)) * SHARP, 0, 1)
    return color + gloss[..., None], alpha * ((y > TOP) & (y < MOUTH))


def _basket(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weave a basket below the balloon."""
    u, v = (x - CENTER) / 0.048, (y - 0.80) / 0.07
    half = 1 - 0.14 * v
    weave = 0.86 + 0.14 * np.sin(u * 16) * np.sin(v * 24)
    round_ = np.sqrt(np.clip(1 - (u / half) ** 2, 0, 1))
    color = np.float32([0.60, 0.40, 0.22]) * (weave * (0.45 + 0.6 * round_ - 0.25 * u))[..., None]
    rim = (v < 0.14)[..., None]
    color = np.where(rim, color * np.float32(0.6), color)
    side = np.clip((half - np.abs(u)) * 0.048 * SHARP, 0, 1)
    ends = np.clip(v * 0.07 * SHARP, 0, 1) * np.clip((1 - v) * 0.07 * SHARP, 0, 1)
    return color.astype(np.float32), (side * ends).astype(np.float32)


def _ropes(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hang the basket on six thin ropes: as fine as hair."""
    alpha = np.zeros_like(x)
    top = float(_radius(np.float32(MOUTH - 0.004)))
    t = np.clip((y - MOUTH) / (0.80 - MOUTH), 0, 1)
    for u in np.linspace(-1, 1, 6):
        middle = CENTER + u * (top + (0.047 - top) * t)
        line = np.clip(0.0016 * SHARP - np.abs(x - middle) * SHARP + 0.5, 0, 1)
        alpha = np.maximum(alpha, line)
    alpha *= (y > MOUTH - 0.01) & (y < 0.805)
    return np.broadcast_to(np.float32([0.24, 0.2, 0.18]), (*x.shape, 3)), alpha
