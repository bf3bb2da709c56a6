"""Pictures in and out of files: where the rest of the program gets both from."""

from qr_nodes.imaging.image_read import ENDINGS, measure_image, read_image
from qr_nodes.imaging.image_write import FORMATS, check_target, format_of, write_image

__all__ = [
    "ENDINGS",
    "FORMATS",
    "check_target",
    "format_of",
    "measure_image",
    "read_image",
    "write_image",
]
