"""Signals at the start of the service."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from starlette.applications import Starlette

from twofold.server import run
from twofold.server.settings import Limits


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_server_handles_signals_ends_it(monkeypatch, name):
    class Early(run._Server):
        def run(self, sockets=None):
            signal.raise_signal(name)
            assert self.should_exit
            super().run(sockets)

    monkeypatch.setattr(run, "_Server", Early)
    app = Starlette()
    app.state.service = SimpleNamespace(ending=False)
    before = signal.getsignal(name)
    run.serve(app, run.open_socket("127.0.0.1", 0), Limits())
    assert app.state.service.ending
    assert signal.getsignal(name) is before
