"""Show a network a picture in several ways, and make one matte of its several answers.

One network misses different parts of a subject at different sizes: a small picture lets it see
the whole, a large one the outline. Its answers are averaged as logits, so that one that is sure
outweighs one that wavers; what is far from the others has gone astray and counts less; the
outline is taken from the finer ones alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from qr_nodes.imaging.lanczos import resize_unit

GRID = 512
"""Square root of how many pixels the common matte has at most: finer than any one answer."""

STEP = 32
"""Heights and widths a network is shown are multiples of this, as its layers halve them, px."""

SLIM = 3.0
"""Longer side over shorter, up to which the picture's shape is kept."""

DOUBT = 0.03
"""Probability beyond which no answer is believed, at either end."""

OUTLINE = 4.0
"""Standard deviation in px of the common matte below which an outline is detail."""

ALIKE = 0.016
"""Mean difference of two answers, up to which they leave nothing for a third to decide."""

NEAR = 0.02
"""Root mean square distance from the common matte below which an answer hardly gains weight."""

ROUNDS = 6
"""Times that the answers are weighed anew by how far they are from the common matte."""

SPARSE = 4
"""Of so many rows and columns one is looked at to tell how far that is."""

SMALL = 0.3
"""Part of the picture that a subject's box may take for it to be looked at again."""

MARGIN = 0.3
"""What is shown around that box, on each side, in parts of the box's own."""

CLOSER = 0.9
"""Weight of the closer looks in the box; that of the looks at the whole is the rest."""

HALF_STEP = 0.5 / 255
"""A network never says quite 0 or 1. What rounds to them in 8 bits is taken to be meant so:
the nodes that follow work where the matte is soft, a tenth of most pictures instead of all."""


@dataclass(frozen=True)
class Look:
    """One way to show a network a picture.

    Attributes
    ----------
    height, width : what it is shown at, px
    mirrored : left and right changed
    fine : its outline counts
    decides : it is left out where the answers before it are alike
    box : (top, left, bottom, right) of the part that is shown, px; None for all of it
    """

    height: int
    width: int
    mirrored: bool = False
    fine: bool = True
    decides: bool = False
    box: tuple[int, int, int, int] | None = None

    @property
    def parts(self) -> tuple:
        """What tells the network's answers to different looks apart."""
        return (self.height, self.width, self.mirrored, *(self.box or ()))


def looks(
    quality: str, shape: tuple[int, int], size: tuple[int, int], flexible: bool
) -> list[Look]:
    """Give the ways to show a picture, the network's own square first.

    Parameters
    ----------
    quality : "fast", "balanced" or "best"
    shape : height and width of the picture, px
    size : height and width that the network was trained at, px
    flexible : bool
        Whether it takes others.

    References
    ----------
    Ayhan and Berens, "Test-time data augmentation for estimation of heteroscedastic aleatoric
    uncertainty", MIDL 2018: averaging over mirrored and resized pictures. Miangoleh et al.,
    "Boosting monocular depth estimation models to high-resolution via content-adaptive
    multi-resolution merging", CVPR 2021: small pictures for the whole, large ones for detail.
    Inoue, "Adaptive ensemble prediction for deep neural networks based on confidence level",
    AISTATS 2019: no more of them than the answers so far call for.
    """
    shown = [Look(*size)]
    if quality == "fast":
        return shown
    if not flexible:
        return [*shown, Look(*size, mirrored=True)]
    side = math.sqrt(size[0] * size[1])
    shown.append(Look(*_kept(shape, 0.8 * side), mirrored=True, fine=False))
    shown.append(Look(*(_step(0.7 * length) for length in size), fine=False, decides=True))
    if quality == "best":
        long = max(shape) / math.sqrt(shape[0] * shape[1])
        shown.append(Look(*_kept(shape, 1.2 * side / min(long, math.sqrt(SLIM))), mirrored=True))
    return shown


def closer_looks(
    quality: str, box: tuple[int, int, int, int], size: tuple[int, int], flexible: bool
) -> list[Look]:
    """Give the ways to show what is around a small subject, `box`; the rest is as for `looks`."""
    if quality == "best":
        return [Look(*size, box=box), Look(*size, mirrored=True, box=box)]
    if flexible:
        size = _step(0.8 * size[0]), _step(0.8 * size[1])
    return [Look(*size, mirrored=True, box=box)]


def _kept(shape: tuple[int, int], side: float) -> tuple[int, int]:
    """Give a size of about `side`² px that keeps the picture's shape, but for very slim ones."""
    slim = min(max(shape[0] / shape[1], 1 / SLIM), SLIM)
    return _step(side * math.sqrt(slim)), _step(side / math.sqrt(slim))


def _step(length: float) -> int:
    return max(STEP, round(length / STEP) * STEP)


def alike(answers: list[np.ndarray]) -> bool:
    """Say whether the first two of several answers, (h, w) float32 in [0, 1], say the same."""
    if len(answers) < 2:
        return False
    first, second = answers[:2]
    again = resize_unit(second, *first.shape, margin=HALF_STEP)
    return float(np.abs(first - again).mean()) < ALIKE


def agreed(
    answers: list[np.ndarray], fine: list[bool], shape: tuple[int, int], stretch: bool
) -> np.ndarray:
    """Make one matte of several answers.

    Parameters
    ----------
    answers : list of (h, w) float32 in [0, 1]
    fine : list of bool
        Which of them tell the outline.
    shape : height and width of the picture, px
    stretch : bool
        Spread the matte over 0 to 1.

    Returns
    -------
    matte : (h, w) float32 in [0, 1]
        Of about GRID² px at most, in the picture's shape.

    References
    ----------
    Vardi and Zhang, "The multivariate L1-median and associated data depth", PNAS 97(4), 2000: the
    matte with the least sum of distances from all answers (Weiszfeld's iteration), which one that
    is wrong cannot draw away as it can a mean.
    Burt and Adelson, "A multiresolution spline with application to image mosaics", ACM
    Transactions on Graphics 2(4), 1983: bands of different fineness from different pictures.
    """
    scale = min(1.0, GRID / math.sqrt(shape[0] * shape[1]))
    size = tuple(max(1, round(length * scale)) for length in shape)
    sums = [_logit(resize_unit(answer, *size, margin=HALF_STEP)) for answer in answers]
    mean = _middle(sums)
    outline = np.mean([x for x, tells in zip(sums, fine, strict=True) if tells], axis=0)
    return _matte(_blurred(mean) + outline - _blurred(outline), stretch)


def merged(whole: np.ndarray, closer: np.ndarray, stretch: bool) -> np.ndarray:
    """Make one matte (h, w) of what was said of a part within the whole, and of it alone."""
    again = _logit(resize_unit(closer, *whole.shape, margin=HALF_STEP))
    return _matte((1 - CLOSER) * _logit(whole) + CLOSER * again, stretch)


def small_subject(matte: np.ndarray) -> tuple[int, int, int, int] | None:
    """Give the box around a subject that takes little of the picture, with what is around it.

    Parameters
    ----------
    matte : (h, w) float32 in [0, 1]

    Returns
    -------
    box : (top, left, bottom, right) in px of the matte, or None
    """
    subject = matte > 0.5
    ends, share = [], 1.0
    for axis, length in ((1, matte.shape[0]), (0, matte.shape[1])):
        held = np.flatnonzero(subject.any(axis=axis))
        if not len(held):
            return None
        size = held[-1] + 1 - held[0]
        room = math.ceil(MARGIN * size)
        ends.append((max(0, int(held[0]) - room), min(length, int(held[-1]) + 1 + room)))
        share *= size / length
    (top, bottom), (left, right) = ends
    return (top, left, bottom, right) if share < SMALL else None


def window(height: int, width: int) -> np.ndarray:
    """Give the weight (height, width) of a closer look: 1, but towards its borders."""
    ramps = []
    for length in (height, width):
        reach = max(1.0, length * MARGIN / (1 + 2 * MARGIN) / 2)
        at = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        ramps.append(np.clip(at / reach, 0, 1).astype(np.float32))
    return np.outer(*ramps)


def stretched(matte: np.ndarray) -> np.ndarray:
    """Spread a matte over 0 to 1; one that is the same everywhere stays."""
    lowest, highest = float(matte.min()), float(matte.max())
    if highest <= lowest:
        return matte
    return (matte - np.float32(lowest)) / np.float32(highest - lowest)


def _logit(matte: np.ndarray) -> np.ndarray:
    sure = np.clip(matte, np.float32(DOUBT), np.float32(1 - DOUBT))
    return np.log(sure / (1 - sure))


def _middle(logits: list[np.ndarray]) -> np.ndarray:
    """Give the mean (h, w) of answers, each weighted the less the farther its matte is off."""
    sparse = [answer[::SPARSE, ::SPARSE] for answer in logits]
    weights = [1 / len(logits)] * len(logits)
    for _ in range(ROUNDS if len(logits) > 2 else 0):
        middle = _probability(_weighted(sparse, weights))
        off = [float(np.sqrt(np.square(_probability(x) - middle).mean())) for x in sparse]
        near = [1 / (far + NEAR) for far in off]
        weights = [weight / sum(near) for weight in near]
    return _weighted(logits, weights)


def _weighted(planes: list[np.ndarray], weights: list[float]) -> np.ndarray:
    return sum(np.float32(weight) * plane for plane, weight in zip(planes, weights, strict=True))


def _probability(logits: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * logits)


def _matte(logits: np.ndarray, stretch: bool) -> np.ndarray:
    matte = _probability(logits.astype(np.float32))
    return stretched(matte) if stretch else matte


def _blurred(plane: np.ndarray) -> np.ndarray:
    sigma = OUTLINE * math.sqrt(plane.size) / GRID
    if sigma < 0.3:
        return plane
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).reshape(
        plane.shape
    )
