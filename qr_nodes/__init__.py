"""QR Nodes: cut subjects out of photographs with a graph of nodes."""

__version__ = "0.1.0"


def __getattr__(name: str):
    """Load what the library offers when it is first asked for: importing it stays quick."""
    if name == "load_graph":
        from qr_nodes.qrgraph import load_graph as found
    elif name == "run":
        from qr_nodes.batch import run as found
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
