"""Opens a model's graphs before the first request, which would otherwise wait for them."""

from __future__ import annotations

import io

from PIL import Image

from twofold.pipeline.extractor import Extractor

_TEXT = "Anna Berg of Acme met Tom Lee in Berlin"


def warm_up(extractor: Extractor) -> None:
    """Run the model on a post with a picture and alternative text."""
    picture = io.BytesIO()
    Image.new("RGB", (256, 256), "grey").save(picture, "PNG")
    post = {"id": 0, "text": _TEXT, "image": picture.getvalue(), "alt_text": "a square"}
    for _ in extractor.extract([post]):
        pass
