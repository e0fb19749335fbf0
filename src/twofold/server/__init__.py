"""Twofold as an HTTP service: `app.create_app` makes it, `run.serve` runs it (extra ``serve``)."""
