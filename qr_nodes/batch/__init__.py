"""One graph over pictures: one, several, or folders of any size.

one.py       one picture: bind a graph to its files, run it, tell what came of it
find.py      the pictures in folders
naming.py    what results are called
ledger.py    what the program has made in a folder, and what from
work.py      what is to be done for a picture, and its results put in their place
overlap.py   several pictures side by side, within cores and memory
many.py      all of it together
report.py    what came of each picture, as JSON or CSV
cluster.py   all of it on several machines, with Dask
"""

from qr_nodes.batch.find import Found, Picture, find_pictures, first_picture, picture_at
from qr_nodes.batch.many import default_jobs, gather, run, run_batch
from qr_nodes.batch.one import (
    NodeReport,
    Result,
    bind,
    cli_engine,
    for_networks,
    names_file,
    only,
    override,
    run_one,
    setting,
    targets,
)
from qr_nodes.batch.overlap import Room
from qr_nodes.batch.work import Batch, Task

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
    "gather",
    "names_file",
    "only",
    "override",
    "picture_at",
    "run",
    "run_batch",
    "run_one",
    "setting",
    "targets",
]
