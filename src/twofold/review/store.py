"""Decisions of reviewers in an SQLite database (WAL): each is on disk before it is answered.

Decisions are only ever added; undoing marks them. What a reviewer decided is under their own name, so that
nobody overwrites another, and a post that one looks at is leased to them for some minutes, so that two do not
do the same work. It does not know HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zlib import crc32

from twofold.errors import DataError, InputError
from twofold.posts import Entity, Post, Relation
from twofold.reading import not_json, open_file
from twofold.review.decisions import Confidences, Decision, PostReview, Proposal
from twofold.review.results import Result, parse_proposal

Order = Literal["uncertain", "random"]
FORMAT = 1
LEASE = 600.0
"""Seconds that a post is kept for the reviewer who looks at it."""
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
        record: the line of the results. picture: the path of its picture, or its bytes, if known.
        alt_text: if known.
    """

    number: int
    proposal: Proposal
    record: dict[str, Any]
    picture: Path | bytes | None
    alt_text: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reviewer is.

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
        DataError: there is no review of this version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.RLock()
        self._confidences: list[Confidences] | None = None
        if not path.is_file():
            raise DataError("there is no review", where=str(path), do="begin one: twofold review RESULTS")
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
                do="use the version of Twofold that began it",
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
        """Begin a review; the database appears whole or not at all.

        Args:
            path: where no file is yet.
            results: what is to be reviewed.
            source: names and dates the results, to know them again; see `source`.
            types: entity types to choose from besides those in the results.
            overlap: share of the posts, in [0, 1], that two reviewers shall see, to measure agreement.
            order: ``uncertain`` for the most uncertain first, which finds most errors; ``random``, so that
                what is reviewed stands for all, and a model can be calibrated on it.
            clock: seconds since the epoch.

        Raises:
            DataError: it cannot be written.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            for old in (part, *_companions(part)):
                old.unlink(missing_ok=True)
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
        return ReviewStore(path, clock)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    # --- what there is ---------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Which results these are."""
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
        """Who has decided something, in order of their names."""
        return [name for (name,) in self._rows("SELECT DISTINCT reviewer FROM review ORDER BY reviewer")]

    def post(self, number: int) -> StoredPost:
        """A post of the queue.

        Raises:
            InputError: there is none of this number.
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
        """Confidences of all posts of the queue; read once, since results do not change."""
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
        """What a reviewer has decided on a post."""
        return PostReview.of(self.post(number).proposal, self._decisions(number, reviewer))

    def reviews(self) -> dict[int, dict[str, PostReview]]:
        """All reviews, by post and reviewer, in one consistent state."""
        with self._transaction():
            rows = self._rows(
                "SELECT post, reviewer, decision FROM decision WHERE NOT undone ORDER BY post, id"
            )
            touched = "SELECT number, record FROM post WHERE number IN (SELECT DISTINCT post FROM decision)"
            proposals = {number: parse_proposal(self._parsed(r)) for number, r in self._rows(touched)}
        decisions: dict[int, dict[str, list[Decision]]] = defaultdict(lambda: defaultdict(list))
        for number, reviewer, decision in rows:
            decisions[number][reviewer].append(Decision.parse(self._parsed(decision)))
        return {
            number: {reviewer: PostReview.of(proposals[number], row) for reviewer, row in of_post.items()}
            for number, of_post in decisions.items()
        }

    def last_finished(self, number: int, reviewers: Iterable[str]) -> str:
        """Which of these reviewers was the last to decide on a post."""
        rows = self._rows(
            "SELECT reviewer FROM decision WHERE post = ? AND NOT undone ORDER BY id DESC", number
        )
        wanted = set(reviewers)
        return next(str(name) for (name,) in rows if name in wanted)

    def progress(self, reviewer: str) -> Progress:
        """How far the review is, and this reviewer."""
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

    # --- what changes it -------------------------------------------------------------------------------

    def next(self, reviewer: str, after: Sequence[int] = ()) -> int | None:
        """The post that a reviewer should see next: the most uncertain one; it is kept for them.

        Args:
            reviewer: name.
            after: posts to pass over.

        Returns:
            Its number; None where nothing is left for this reviewer.
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
        """Add what was decided at once, and give what follows from it; on disk when this returns.

        Entities that an added or corrected one overlaps are rejected with it. To finish a post is to accept
        what is not decided yet.

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
        """Take back the last thing that a reviewer did; gives the number of its post, None for nothing."""
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

    # --- inside ----------------------------------------------------------------------------------------

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
        """A reviewer looks at one post at a time."""
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
        """A value of JSON in the database.

        Raises:
            DataError: it is none.
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
        """All of what is inside or nothing of it; another process that writes is waited for."""
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
    """Names results: their file's name, size, and a checksum of it."""
    checksum, size = 0, 0
    try:
        with open_file(path) as stream:
            while block := stream.read(1 << 20):
                checksum, size = crc32(block, checksum), size + len(block)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            expected="results of `twofold extract`, as JSON Lines",
        ) from error
    return f"{path.name}, {size} bytes, CRC {checksum:08x}"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a decision outlives a power failure, too
    return connection


def _companions(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal")]


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
                _uncertainty(result.proposal) if order == "uncertain" else _drawn(f"order {number}"),
                2 if _drawn(str(number)) < overlap else 1,
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


def _drawn(name: str) -> float:
    """A number in [0, 1) that looks random and is always the same for a name."""
    return crc32(name.encode()) / 2**32


def _picture(post: Post | None) -> tuple[str | None, bytes | None]:
    if post is None or not isinstance(post.image, (Path, bytes)):
        return None, None
    return (None, post.image) if isinstance(post.image, bytes) else (str(post.image.absolute()), None)


def _check_reviewer(name: str) -> None:
    if not name.strip() or len(name) > 80 or not name.isprintable():
        raise InputError(f"the reviewer is {name!r:.100}", expected="a name of 1 to 80 printable characters")


def _damaged(path: Path, error: Exception) -> DataError:
    told = str(error)[:100] if isinstance(error, sqlite3.Error) else f"what it holds is {not_json(error)}"
    return DataError(
        f"the review cannot be used: {told}",
        where=str(path),
        expected="a database that `twofold review` made",
    )
