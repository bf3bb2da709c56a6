"""QR Nodes: cut subjects out of photographs with a graph of nodes."""

__version__ = "0.1.0"
