"""One graph over pictures: one, several, or folders of any size.

one.py       one picture: bind a graph to its files, run it, tell what came of it
find.py      the pictures in folders
naming.py    what results are called
ledger.py    what an output folder holds, and what it was made from
overlap.py   several pictures side by side, within cores and memory
many.py      all of it together
report.py    what came of each picture, as JSON or CSV
cluster.py   all of it on several machines, with Dask
"""

from qr_nodes.batch.find import Found, Picture, find_pictures, first_picture, picture_at
from qr_nodes.batch.many import Batch, Task, default_jobs, run, run_batch
from qr_nodes.batch.one import (
    NodeReport,
    Result,
    bind,
    cli_engine,
    for_networks,
    only,
    output_paths,
    override,
    run_one,
    targets,
)
from qr_nodes.batch.overlap import Room

__all__ = [
    "Batch",
    "Found",
    "NodeReport",
    "Picture",
    "Result",
    "Room",
    "Task",
    "bind",
    "cli_engine",
    "default_jobs",
    "find_pictures",
    "first_picture",
    "for_networks",
    "only",
    "output_paths",
    "override",
    "picture_at",
    "run",
    "run_batch",
    "run_one",
    "targets",
]
