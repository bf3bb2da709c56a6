"""Pictures in and out of files: where the rest of the program gets both from."""

from qr_nodes.imaging.image_read import read_image, read_size
from qr_nodes.imaging.image_write import FORMATS, format_of, write_image

__all__ = ["FORMATS", "format_of", "read_image", "read_size", "write_image"]
