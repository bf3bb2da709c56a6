"""Export: a cut-out or its matte to a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from qr_nodes.errors import ParamError
from qr_nodes.imaging.image_io import check_target, write_image
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Written


def _check(params: Mapping[str, Any], linked: Collection[str] = ()) -> None:
    if not params["path"]:
        raise ParamError("no file is named.", "export.path", "Choose where to write.")
    check_target(params["path"])


@node("Export", category="File", version=2, full_scale=True, check=_check)
def export(
    cutout: Cutout,
    *,
    path: Annotated[str, Param(kind="save")] = "",
    content: Literal["cutout", "mask"] = "cutout",
    bits: Literal["source", "8", "16"] = "source",
    compression: Annotated[int, Param(0, 9)] = 4,
    quality: Annotated[int, Param(1, 100)] = 90,
    lossless: bool = False,
    background: Annotated[str, Param(kind="color")] = "#ffffff",
    hidden: Literal["clear", "keep"] = "clear",
    keep_profile: bool = True,
    keep_dpi: bool = True,
    metadata: Literal["none", "camera", "credit", "all"] = "camera",
    overwrite: Annotated[bool, Param(machine=True)] = True,
    job: Job = Job(),
) -> Written:
    """Write the cut-out, or its matte alone, to a file; the name's ending decides the format.

    Parameters
    ----------
    cutout : Cutout
        What to write. Colours stay straight: soft edges keep their full strength.
    path : str
        Where to: a name ending in png, webp, tif, avif or jpg. Its folder must exist.
    content : str
        The cut-out, or the matte alone as a grey picture.
    bits : str
        Bits per channel: as the source has them, or 8 or 16. Only PNG and TIFF hold 16. A
        floating-point source stays so in TIFF.
    compression : int
        How hard PNG and TIFF are squeezed, from 0, not at all, to 9. The pixels are the same.
    quality : int
        Quality of WebP, AVIF and JPEG.
    lossless : bool
        Write WebP without any loss, and AVIF with next to none.
    background : str
        Colour behind the cut-out where the format has no transparency: JPEG.
    hidden : str
        Colours where nothing is left of the picture: cleared, which makes files much smaller
        and hides what was there, or kept for later editing.
    keep_profile : bool
        Write the colour profile of the source.
    keep_dpi : bool
        Write the resolution of the source.
    metadata : str
        What to write about how the picture was taken. "camera" is camera, lens, exposure and
        date, and no name. "credit" adds the photographer's name and copyright notice. "all" adds
        place, other names, comments and maker's notes, and leaves in the profile what its owner
        called it.
    overwrite : bool
        Replace a file of the same name.

    Returns
    -------
    Written
        The file, complete: it is written under another name and then renamed.

    Raises
    ------
    WriteError
        The ending is unknown, the format cannot hold the picture, or the file cannot be written.
    """
    _check({"path": path})
    write_image(
        cutout,
        path,
        content=content,
        bits=bits,
        compression=compression,
        quality=quality,
        lossless=lossless,
        background=background,
        hidden=hidden,
        keep_profile=keep_profile,
        keep_dpi=keep_dpi,
        metadata=metadata,
        overwrite=overwrite,
        note=job.note,
        progress=job.progress,
    )
    return Written.of(path)
