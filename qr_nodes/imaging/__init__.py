"""Algorithms on plain arrays; knows no nodes, graphs or screens."""
