"""Errors of a matte against the true one, as the matting and segmentation literature counts them.

All are taken over the whole picture but for pixels that are not to be scored.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

SIGMA = 1.4
"""Standard deviation of the Gaussian whose derivatives give a matte's gradient, px."""

BAND = 0.02
"""Width of the band along a contour that boundary IoU looks at, in parts of the diagonal."""

GROUNDS = ((0, 0, 0), (255, 255, 255), (0, 177, 64))
"""What cut-outs are laid over to compare their colours: black, white and a studio's green."""


def errors(
    found: np.ndarray,
    true: np.ndarray,
    scored: np.ndarray | None = None,
    color: np.ndarray | None = None,
    true_color: np.ndarray | None = None,
) -> dict[str, float]:
    """Give every error of one picture by name.

    Parameters
    ----------
    found, true : (H, W) float32 in [0, 1]
    scored : (H, W) bool or None
        Where errors count.
    color, true_color : (H, W, 3) uint8, or None
        The cut-out's colours and the subject's true ones, straight.

    Returns
    -------
    errors : dict
        MAE; SAD and Grad in thousands; IoU and BIoU of what is over one half; and, with
        colours, recomp (how far the cut-out laid over a new ground is off along the soft
        edge, 0 to 255) and fgMAE (the same of the straight colours, weighted by alpha).

    References
    ----------
    Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009,
    for SAD and Grad; Cheng et al., "Boundary IoU", CVPR 2021.
    """
    scored = np.ones(true.shape, bool) if scored is None else scored
    off = np.abs(found - true)[scored].astype(np.float64)
    truly = true >= 0.5
    # What is not scored shows neither matte an edge that the other has not.
    mine, theirs = (np.where(scored, x, truly).astype(np.float32) for x in (found, true))
    over = mine >= 0.5
    steeper = _gradient(mine) - _gradient(theirs)
    result = {
        "MAE": float(off.mean()),
        "SAD": float(off.sum()) / 1000,
        "Grad": float((steeper * steeper)[scored].sum()) / 1000,
        "IoU": _iou(over & scored, truly & scored),
        "BIoU": _iou(_along(over), _along(truly)),
    }
    if true_color is not None and color is not None:
        result |= _color_errors(found, true, color, true_color)
    return result


def wobble(alpha: np.ndarray, length: int = 4) -> float:
    """Give the curvature energy of the 0.5 contour per px of it: the mean squared turn.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    length : int
        Steps along the contour, about as many px, between the directions that are compared.
    """
    total, steps = 0.0, 0
    for line in contours(alpha):
        if len(line) < 4 * length:
            continue
        way = np.roll(line, -length, axis=0) - line
        angle = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
        turn = np.roll(angle, -length) - angle
        turn = (turn + math.pi) % (2 * math.pi) - math.pi
        total += float((turn * turn).sum())
        steps += len(line)
    return total / max(steps, 1) / length**2


def contours(alpha: np.ndarray, scale: int = 4) -> list[np.ndarray]:
    """Give the 0.5 contours as (n, 2) closed lines in px, found on a grid `scale` times finer."""
    size = alpha.shape[1] * scale, alpha.shape[0] * scale
    fine = cv2.resize(alpha, size, interpolation=cv2.INTER_CUBIC)
    over = (fine >= 0.5).astype(np.uint8)
    lines, _ = cv2.findContours(over, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [line[::scale, 0].astype(np.float64) / scale for line in lines]


def _gradient(alpha: np.ndarray) -> np.ndarray:
    reach = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * 0.01)))
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-x * x / (2 * SIGMA * SIGMA))
    slope = -x * bell
    norm = math.sqrt(float((np.outer(bell, slope) ** 2).sum()))
    bell, slope = (k / math.sqrt(norm) for k in (bell, slope))
    across = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, bell, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(alpha, cv2.CV_32F, bell, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(across, down)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def _along(mask: np.ndarray) -> np.ndarray:
    """Give the pixels of a mask that lie along its contour; the frame counts as one."""
    reach = max(1, round(BAND * math.hypot(*mask.shape)))
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    inner = cv2.erode(framed, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)[1:-1, 1:-1]
    return mask & ~inner.astype(bool)


def _color_errors(found, true, color, true_color) -> dict[str, float]:
    color, true_color = color.astype(np.float32), true_color.astype(np.float32)
    soft = (true > 0.02) & (true < 0.98)
    if not soft.any():
        return {}
    weight = true[soft].astype(np.float64)
    off = np.abs(color - true_color).mean(axis=2)[soft]
    around = cv2.dilate(soft.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    mine, theirs = found[around][:, None], true[around][:, None]
    seen = [
        np.abs((color[around] - g) * mine - (true_color[around] - g) * theirs).mean()
        for g in np.float32(GROUNDS)
    ]
    return {
        "fgMAE": float((off * weight).sum() / weight.sum()),
        "recomp": float(np.mean(seen)),
    }
