"""Cut a picture into strips of about a megapixel, so that work fits the cache and can stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from qr_nodes import resources

Made = TypeVar("Made")

THREADS = min(4, resources.cores())

GRAIN = 1 << 20
"""Pixels per strip: a few ms of most filters, and a few MB, on a present core."""


def strips(height: int, width: int, halo: int = 0) -> Iterator[tuple[slice, slice, slice]]:
    """Walk over rows in strips whose surroundings a filter may look at.

    Parameters
    ----------
    height, width : int
        Size of the picture in px.
    halo : int
        Rows above and below that the filter needs, in px.

    Yields
    ------
    rows : slice
        Rows of the picture that this strip gives.
    padded : slice
        The same with up to `halo` rows more at either side, cut at the picture's border.
    inner : slice
        Where `rows` lies within `padded`.
    """
    step = max(1, GRAIN // max(width, 1), halo)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        above, below = max(top - halo, 0), min(bottom + halo, height)
        yield slice(top, bottom), slice(above, below), slice(top - above, bottom - above)


def in_order(jobs: Iterable[Callable[[], Made]], ahead: int = 2 * THREADS) -> Iterator[Made]:
    """Run jobs on several threads, at most `ahead` ahead, and give their results in order.

    Whoever stops asking stops the jobs that have not begun.
    """
    pool = ThreadPoolExecutor(THREADS)
    pending: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(job))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
