"""The default model behind the service: options on confidence give the same lines as the command."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from server.live import live

import twofold
from twofold.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"
OPTIONS = {
    "": [],
    "?max_error=0.1&coverage=0.9": ["--max-error", "0.1", "--coverage", "0.9"],
    "?max_relation_error=0.4&min_confidence=0.6": ["--max-relation-error", "0.4", "--min-confidence", "0.6"],
    "?relations=false&max_error=0.05": ["--no-relations", "--max-error", "0.05"],
}


@pytest.mark.slow
def test_options_on_confidence_give_the_lines_of_the_command(tmp_path, capsys):
    posts = [json.loads(line) for line in (EXAMPLES / "posts.jsonl").read_text("utf-8").splitlines()]
    sent = []
    for post in posts:
        if image := post.get("image"):
            data = base64.b64encode((EXAMPLES / image).read_bytes()).decode()
            post = post | {"image": {"base64": data}}
        sent.append(json.dumps(post))
    body = "\n".join(sent).encode()
    with live(twofold.load(threads=1)) as service:
        for query, options in OPTIONS.items():
            expected = tmp_path / "out.jsonl"
            code = main(
                ["extract", str(EXAMPLES / "posts.jsonl"), "-o", str(expected), "--threads", "1", *options]
            )
            answer = service.post(body, query, Content_Type="application/x-ndjson")
            if code == 2:  # this model cannot guarantee it: the service refuses it, too
                assert answer.status == 422, query
                assert answer.json["error"]["message"] in capsys.readouterr().err
            else:
                assert answer.body == expected.read_bytes(), query
