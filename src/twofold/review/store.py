"""Decisions of reviewers in an SQLite database (WAL): each is on disk before its request is answered.

Decisions are only ever added; undoing marks them. They are stored by reviewer, so that nobody overwrites
those of another, and a post that a reviewer has open is leased to them for some minutes, so that two do not
do the same work. The module does not depend on HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zlib import crc32

from twofold.corpora.results import result_files
from twofold.errors import DataError, InputError
from twofold.posts import Entity, Post, Relation
from twofold.reading import not_json, open_file, real_path
from twofold.review.decisions import Confidences, Decision, PostReview, Proposal
from twofold.review.results import Result, parse_proposal

Order = Literal["uncertain", "random"]
FORMAT = 1
LEASE = 600.0
"""Seconds that a post is reserved for the reviewer who has it open."""
_WAIT = 30.0
"""Seconds to wait for another process that writes."""
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE post (
  number INTEGER PRIMARY KEY, uncertainty REAL NOT NULL, reviewers INTEGER NOT NULL,
  record TEXT NOT NULL, picture TEXT, picture_bytes BLOB, alt_text TEXT
);
CREATE INDEX queue ON post (uncertainty DESC, number);
CREATE TABLE decision (
  id INTEGER PRIMARY KEY AUTOINCREMENT, action INTEGER NOT NULL, post INTEGER NOT NULL,
  reviewer TEXT NOT NULL, at REAL NOT NULL, decision TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX decision_of_post ON decision (post, reviewer, id);
CREATE INDEX decision_of_reviewer ON decision (reviewer, id);
CREATE TABLE review (
  post INTEGER NOT NULL, reviewer TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (post, reviewer)
) WITHOUT ROWID;
CREATE TABLE lease (
  post INTEGER NOT NULL, reviewer TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (post, reviewer)
) WITHOUT ROWID;
"""
_NEXT = """
SELECT number FROM post WHERE
  NOT EXISTS (SELECT 1 FROM review r WHERE r.post = number AND r.reviewer = :me AND r.status != 'open')
  AND number NOT IN (SELECT value FROM json_each(:after))
  AND reviewers > (
    SELECT COUNT(*) FROM (
      SELECT r.reviewer FROM review r WHERE r.post = number AND r.reviewer != :me AND r.status = 'finished'
      UNION SELECT l.reviewer FROM lease l WHERE l.post = number AND l.reviewer != :me AND l.until > :now
    )
  )
ORDER BY uncertainty DESC, number LIMIT 1
"""


class StoredPost(NamedTuple):
    """A post of the queue.

    Attributes:
        number: in the results, from 0. proposal: the predictions.
        record: the result. picture: path or bytes of its picture, if known.
        alt_text: if known.
    """

    number: int
    proposal: Proposal
    record: dict[str, Any]
    picture: Path | bytes | None
    alt_text: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the review and of one reviewer.

    Attributes:
        posts: in the queue. finished: by enough reviewers. mine: finished by this reviewer.
        skipped: by this reviewer.
    """

    posts: int
    finished: int
    mine: int
    skipped: int


class ReviewStore:
    """The database of one review; several threads and processes may use it at once.

    Args:
        path: of the database.
        clock: seconds since the epoch.

    Raises:
        DataError: the file is missing, or is not a review of this version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.RLock()
        self._confidences: list[Confidences] | None = None
        if not path.is_file():
            raise DataError("there is no review", where=str(path), do="start one with twofold review RESULTS")
        try:
            self._connection = _connect(path)
            format_ = self._meta("format")
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
        if format_ != FORMAT:
            raise DataError(
                f"the review has format {format_}",
                where=str(path),
                expected=f"format {FORMAT}",
                do="use the version of Twofold that created it",
            )

    @staticmethod
    def create(
        path: Path,
        results: Iterable[Result],
        *,
        source: str = "",
        types: Sequence[str] = (),
        overlap: float = 0.0,
        order: Order = "uncertain",
        clock: Callable[[], float] = time.time,
    ) -> ReviewStore:
        """Create a review; the database appears whole or not at all.

        Args:
            path: of a file that does not exist yet.
            results: to be reviewed.
            source: identifies the results; see `source_of`.
            types: entity types to choose from besides those in the results.
            overlap: share of the posts, in [0, 1], that two reviewers see, to measure agreement.
            order: ``uncertain`` for the most uncertain first, which finds most errors; ``random`` for a
                random sample of all posts, on which a model can be calibrated.
            clock: seconds since the epoch.

        Raises:
            DataError: the database cannot be written.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            _remove(part)
            connection = _connect(part)
            try:
                _fill(connection, results, source, types, overlap, order)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("PRAGMA journal_mode=DELETE")  # one file, which can be renamed
            finally:
                connection.close()
            part.rename(path)
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"cannot be written: {error}", where=str(path), expected="a folder that may be written to"
            ) from error
        finally:
            with suppress(OSError):  # where it cannot even be looked for, the error above says so
                _remove(part)
        return ReviewStore(path, clock)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    # --- reading ---------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Identifies the results; see `source_of`."""
        return str(self._meta("source"))

    @property
    def types(self) -> list[str]:
        """Entity types to choose from."""
        return self._names("types")

    @property
    def relation_types(self) -> list[str]:
        """Types of relations to choose from."""
        return self._names("relation_types")

    @property
    def count(self) -> int:
        """Posts in the queue."""
        return int(self._one("SELECT COUNT(*) FROM post"))

    def reviewers(self) -> list[str]:
        """Names of the reviewers who have decided something, sorted."""
        return [name for (name,) in self._rows("SELECT DISTINCT reviewer FROM review ORDER BY reviewer")]

    def post(self, number: int) -> StoredPost:
        """A post of the queue.

        Raises:
            InputError: there is no post of this number.
        """
        rows = self._rows(
            "SELECT record, picture, picture_bytes, alt_text FROM post WHERE number = ?", number
        )
        if not rows:
            raise InputError(f"there is no post {number}", expected=f"a number from 0 to {self.count - 1}")
        record, picture, content, alt_text = rows[0]
        image = content if content is not None else Path(picture) if picture else None
        value = self._parsed(record)
        return StoredPost(number, parse_proposal(value), value, image, alt_text)

    def confidences(self) -> list[Confidences]:
        """Confidences of all posts of the queue; cached, since results do not change."""
        with self._lock:
            if self._confidences is None:
                try:
                    rows = self._connection.execute("SELECT number, record FROM post ORDER BY number")
                    proposals = ((number, parse_proposal(self._parsed(record))) for number, record in rows)
                    self._confidences = [
                        Confidences(
                            n, *(tuple(x.confidence for x in row) for row in (p.entities, p.relations))
                        )
                        for n, p in proposals
                    ]
                except sqlite3.Error as error:
                    raise _damaged(self.path, error) from error
            return self._confidences

    def review(self, number: int, reviewer: str) -> PostReview:
        """The review of a post by a reviewer."""
        return PostReview.of(self.post(number).proposal, self._decisions(number, reviewer))

    def reviews(self) -> dict[int, dict[str, PostReview]]:
        """All reviews, by post and reviewer, in one consistent state."""
        with self._transaction():
            rows = self._rows(
                "SELECT post, reviewer, decision FROM decision WHERE NOT undone ORDER BY post, id"
            )
            reviewed = "SELECT number, record FROM post WHERE number IN (SELECT DISTINCT post FROM decision)"
            proposals = {number: parse_proposal(self._parsed(r)) for number, r in self._rows(reviewed)}
        decisions: dict[int, dict[str, list[Decision]]] = defaultdict(lambda: defaultdict(list))
        for number, reviewer, decision in rows:
            decisions[number][reviewer].append(Decision.parse(self._parsed(decision)))
        return {
            number: {reviewer: PostReview.of(proposals[number], row) for reviewer, row in of_post.items()}
            for number, of_post in decisions.items()
        }

    def last_finished(self, number: int, reviewers: Iterable[str]) -> str:
        """The last of these reviewers to decide on a post."""
        rows = self._rows(
            "SELECT reviewer FROM decision WHERE post = ? AND NOT undone ORDER BY id DESC", number
        )
        wanted = set(reviewers)
        return next(str(name) for (name,) in rows if name in wanted)

    def progress(self, reviewer: str) -> Progress:
        """Progress of the review and of this reviewer."""
        finished = (
            "SELECT COUNT(*) FROM (SELECT post, COUNT(*) AS reviews FROM review WHERE status = 'finished' "
            "GROUP BY post) JOIN post ON post = number WHERE reviews >= reviewers"
        )
        mine = "SELECT COUNT(*) FROM review WHERE reviewer = ? AND status = ?"
        with self._transaction():
            return Progress(
                self.count,
                int(self._one(finished)),
                int(self._one(mine, reviewer, "finished")),
                int(self._one(mine, reviewer, "skipped")),
            )

    # --- writing ---------------------------------------------------------------------------------------

    def next(self, reviewer: str, after: Sequence[int] = ()) -> int | None:
        """The next post for a reviewer: the most uncertain one, which is leased to them.

        Args:
            reviewer: name.
            after: posts to leave out.

        Returns:
            Number of the post; None where no post is left for this reviewer.
        """
        _check_reviewer(reviewer)
        now = self._clock()
        with self._transaction(write=True):
            values = {"me": reviewer, "now": now, "after": json.dumps(list(after))}
            found = self._connection.execute(_NEXT, values).fetchone()
            if found is None:
                return None
            self._lease(int(found[0]), reviewer, now)
            return int(found[0])

    def decide(self, number: int, reviewer: str, decisions: Sequence[Decision]) -> PostReview:
        """Add decisions as one action, and return the resulting review; on disk when this returns.

        Entities that an added or corrected one overlaps are rejected as well. Finishing a post accepts the
        predictions that are still undecided.

        Raises:
            InputError: there is no such post, or a decision does not fit it; nothing is written.
        """
        _check_reviewer(reviewer)
        with self._transaction(write=True):
            review, written = self.review(number, reviewer), list[Decision]()
            for decision in decisions:
                implied = review.overlapped_by(decision)
                if decision.about == "finish":
                    implied = review.undecided
                for one in (*implied, decision):
                    review = review.with_decision(one)
                    written.append(one)
            now = self._clock()
            self._write(number, reviewer, written, now)
            self._set_status(number, reviewer, review)
            if review.status == "open":
                self._lease(number, reviewer, now)
            else:
                self._connection.execute(
                    "DELETE FROM lease WHERE post = ? AND reviewer = ?", (number, reviewer)
                )
        return review

    def undo(self, reviewer: str) -> int | None:
        """Undo the last action of a reviewer; returns the number of its post, None if there is none."""
        _check_reviewer(reviewer)
        with self._transaction(write=True):
            last = (
                "SELECT action, post FROM decision WHERE reviewer = ? AND NOT undone ORDER BY id DESC LIMIT 1"
            )
            rows = self._rows(last, reviewer)
            if not rows:
                return None
            action, number = rows[0]
            self._connection.execute("UPDATE decision SET undone = 1 WHERE action = ?", (action,))
            self._set_status(number, reviewer, self.review(number, reviewer))
            self._lease(number, reviewer, self._clock())
        return int(number)

    # --- helpers ---------------------------------------------------------------------------------------

    def _write(self, number: int, reviewer: str, decisions: Sequence[Decision], now: float) -> None:
        action = int(self._one("SELECT COALESCE(MAX(action), 0) + 1 FROM decision"))
        self._connection.executemany(
            "INSERT INTO decision (action, post, reviewer, at, decision) VALUES (?, ?, ?, ?, ?)",
            [(action, number, reviewer, now, json.dumps(one.record())) for one in decisions],
        )

    def _set_status(self, number: int, reviewer: str, review: PostReview) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO review (post, reviewer, status) VALUES (?, ?, ?)",
            (number, reviewer, review.status),
        )

    def _lease(self, number: int, reviewer: str, now: float) -> None:
        """Lease a post to a reviewer, who has one post at a time."""
        self._connection.execute("DELETE FROM lease WHERE reviewer = ? OR until <= ?", (reviewer, now))
        self._connection.execute(
            "INSERT INTO lease (post, reviewer, until) VALUES (?, ?, ?)", (number, reviewer, now + LEASE)
        )

    def _decisions(self, number: int, reviewer: str) -> list[Decision]:
        rows = self._rows(
            "SELECT decision FROM decision WHERE post = ? AND reviewer = ? AND NOT undone ORDER BY id",
            number,
            reviewer,
        )
        return [Decision.parse(self._parsed(decision)) for (decision,) in rows]

    def _names(self, key: str) -> list[str]:
        names = self._meta(key)
        return [str(name) for name in names] if isinstance(names, list) else []

    def _meta(self, key: str) -> Any:
        return self._parsed(self._one("SELECT value FROM meta WHERE key = ?", key))

    def _parsed(self, text: Any) -> Any:
        """A JSON value in the database.

        Raises:
            DataError: the text is not JSON.
        """
        try:
            return json.loads(str(text))
        except (ValueError, RecursionError) as error:
            raise _damaged(self.path, error) from error

    def _one(self, query: str, *values: Any) -> Any:
        rows = self._rows(query, *values)
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _damaged(self.path, error) from error

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[None]:
        """Apply the whole block or nothing; waits for another process that writes."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield
                    self._connection.commit()
                except BaseException:
                    self._connection.rollback()
                    raise
            except sqlite3.Error as error:
                raise _damaged(self.path, error) from error


def source_of(path: Path) -> str:
    """Identifies results: name, size and checksum of their file, or of all parts of their folder."""
    checksum, size = 0, 0
    try:
        for file in result_files(path):
            with open_file(file) as stream:
                while block := stream.read(1 << 20):
                    checksum, size = crc32(block, checksum), size + len(block)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            expected="results of `twofold extract`",
        ) from error
    return f"{path.name or real_path(path).name}, {size} bytes, CRC {checksum:08x}"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a decision also survives a power failure
    return connection


def _remove(path: Path) -> None:
    """Remove a database that is not open, with the files beside it, if there is one."""
    for file in (path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal"))):
        file.unlink(missing_ok=True)


def _fill(
    connection: sqlite3.Connection,
    results: Iterable[Result],
    source: str,
    types: Sequence[str],
    overlap: float,
    order: Order,
) -> None:
    connection.executescript(_SCHEMA)
    entity_types, relation_types = dict.fromkeys(types), dict[str, None]()
    connection.execute("BEGIN")
    for number, result in enumerate(results):
        entity_types |= dict.fromkeys(entity.type for entity in result.proposal.entities)
        relation_types |= dict.fromkeys(relation.type for relation in result.proposal.relations)
        connection.execute(
            "INSERT INTO post VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                _uncertainty(result.proposal) if order == "uncertain" else _pseudo_random(f"order {number}"),
                2 if _pseudo_random(str(number)) < overlap else 1,
                json.dumps(result.record, ensure_ascii=False),
                *_picture(result.post),
                result.post.alt_text if result.post else None,
            ),
        )
    known = {
        "format": FORMAT,
        "source": source,
        "types": [type_ for type_ in entity_types if type_],
        "relation_types": list(relation_types),
    }
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in known.items()]
    )
    connection.execute("COMMIT")


def _uncertainty(proposal: Proposal) -> float:
    """1 − the lowest confidence of the post; −1 without predictions, so that these posts come last."""
    items: list[Entity | Relation] = [*proposal.entities, *proposal.relations]
    return max((1 - item.confidence if item.confidence is not None else 1.0 for item in items), default=-1.0)


def _pseudo_random(name: str) -> float:
    """A pseudo-random number in [0, 1) that depends only on the name."""
    return crc32(name.encode()) / 2**32


def _picture(post: Post | None) -> tuple[str | None, bytes | None]:
    if post is None or not isinstance(post.image, (Path, bytes)):
        return None, None
    return (None, post.image) if isinstance(post.image, bytes) else (str(post.image.absolute()), None)


def _check_reviewer(name: str) -> None:
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise InputError(f"the reviewer is {name!r:.100}", expected="a name of 1 to 80 printable characters")


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error)[:100] if isinstance(error, sqlite3.Error) else f"its content is {not_json(error)}"
    return DataError(
        f"the review cannot be used: {reason}",
        where=str(path),
        expected="a database that `twofold review` created",
    )
