"""What the server of the viewer hands to a tab."""

from __future__ import annotations

import pytest

pytest.importorskip("bokeh")

from bokeh.document import Document
from bokeh.models import Div

from nbdask.view.server import _serialize


def test_a_page_that_changed_since_it_was_serialized_is_sent_as_it_is() -> None:
    """Once from what was kept, then anew; a change in between is not lost."""
    for change in (False, True):
        text = Div(text="before")
        document = Document()
        document.add_root(text)
        _serialize(document)
        if change:
            text.text = "after"
        first = document.to_json(deferred=False)
        assert ("after" in str(first)) == change
        text.text = "later"
        assert "later" in str(document.to_json())
