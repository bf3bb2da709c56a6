"""The window: a node canvas, a viewer, an inspector; the only importer of Dear PyGui.

Only the main thread calls Dear PyGui. Other threads hand their results to `Loop.post`. The graph
lives in the document; what is on screen is rebuilt from it, never the other way round.
"""
