"""A Dear PyGui context without a window: items, values and callbacks work, nothing is drawn."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes.ui import theme


@pytest.fixture
def dpg_context():
    """Create a context for one test and take it down again."""
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    yield
    theme.forget()
    dpg.destroy_context()
