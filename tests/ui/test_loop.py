"""The frame loop: what is called back, and what no longer is."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes.ui.loop import Loop


@pytest.fixture
def loop(dpg_context, monkeypatch):
    """A loop without a window: nothing is drawn, errors are raised."""

    def fail(error):
        raise error

    monkeypatch.setattr(dpg, "render_dearpygui_frame", lambda: None)
    return Loop(fail)


def test_what_a_callback_takes_down_is_not_heard_any_more(loop, monkeypatch):
    heard = []
    with dpg.window() as dialog:
        field = dpg.add_input_text()

    def close():
        heard.append("close")
        dpg.delete_item(dialog)

    def typed(sender, text):
        heard.append(text)

    queued = [(close, field, "", None), (typed, field, "late", None), (lambda: heard.append(0), 0)]
    monkeypatch.setattr(dpg, "get_callback_queue", lambda: queued)
    loop.step()
    assert heard == ["close", 0]
