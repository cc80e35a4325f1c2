"""What the tests of the Flask face share."""

import pytest

from truesocket.flask.quick import Places


@pytest.fixture(params=["quick", "public"])
def way(request, monkeypatch):
    """How events come to their request contexts; both ways are to be told apart by nothing but the time they take."""
    if request.param == "public":
        monkeypatch.setattr(Places, "find", lambda self, app, environ: None)
    return request.param
