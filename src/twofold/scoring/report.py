"""The result of an evaluation: plain frozen data that commands print and write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import MissingExtraError
from twofold.evaluation.trust_report import TrustReport, to_json
from twofold.scoring.data_facts import DataFacts
from twofold.scoring.domain_shift import ShiftResult
from twofold.scoring.entity_scores import EntityScores
from twofold.scoring.relation_scores import RelationEvaluation
from twofold.scoring.robustness import RobustnessResult
from twofold.scoring.score_record import score_record

if TYPE_CHECKING:
    import pandas

END_TO_END = "relations_end_to_end"
TRUST_TITLES = {
    "entities": "entities",
    "relations": "relations",
    "relations_gold_arguments": "relations between gold arguments",
    END_TO_END: "relations end to end",
}
"""Title of each trust report by its key."""


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """The model that was evaluated.

    Attributes:
        name: name of the model.
        folder: its folder.
        manifest_sha256: hash of the manifest, which lists the hash of every file.
    """

    name: str
    folder: Path
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Scores of a model on labelled posts.

    Attributes:
        model: the evaluated model.
        data: the evaluated posts.
        pictures: number of posts by the status of the picture: ``read``, ``none``, ``unreadable``.
        entities: scores of entities; None where no post has gold entities or the model predicts none.
        relations: scores of relations; None likewise.
        seconds: duration, without loading the model.
        trust: if requested, calibration, selective prediction and error detection of ``entities``, of
            ``relations`` (of gold pairs in the gold order), of ``relations_gold_arguments`` (order unknown,
            as `calibrate` fits them) and of ``relations_end_to_end``.
        not_annotated: number of end-to-end relations that their trust report leaves out, since their pair is
            not annotated.
        domain_shift: if requested, comparisons of the uncertainty on these posts with that on others.
        robustness: if requested, results on the same posts with other pictures.
    """

    model: EvaluatedModel
    data: DataFacts
    pictures: Mapping[str, int]
    entities: EntityScores | None
    relations: RelationEvaluation | None
    seconds: float
    trust: Mapping[str, TrustReport]
    not_annotated: int
    domain_shift: tuple[ShiftResult, ...]
    robustness: RobustnessResult | None

    def to_json(self) -> dict[str, Any]:
        """All metrics as plain data for JSON; precision, recall and F1 in [0, 1], null where not measured."""
        return {
            "model": {"name": self.model.name, "manifest_sha256": self.model.manifest_sha256},
            "data": asdict(self.data),
            "pictures": dict(self.pictures),
            **(self.entities.to_json() if self.entities else {}),
            **({"relations": self.relations.to_json()} if self.relations else {}),
            "seconds": round(self.seconds, 2),
            **({"trust": self._trust()} if self.trust else {}),
            **({"domain_shift": [item.to_json() for item in self.domain_shift]} if self.domain_shift else {}),
            **({"robustness": self.robustness.to_json()} if self.robustness else {}),
        }

    def to_frame(self) -> pandas.DataFrame:
        """Precision, recall, F1 and counts as a pandas data frame.

        Returns:
            A row for each ``task`` (entities, relations), ``matching`` (lenient, strict, gold pairs, …)
            and ``type`` ("all" for all together).

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("pandas is not installed", do="pip install pandas") from error
        parts = {"entities": self.entities, "relations": self.relations}
        return pandas.DataFrame(
            [
                {"task": task, "matching": rule, "type": name, **score_record(score)}
                for task, part in parts.items()
                if part is not None
                for rule, name, score in part.rows()
            ]
        )

    def _trust(self) -> dict[str, Any]:
        shown: dict[str, Any] = to_json(self.trust)
        if END_TO_END in shown:
            shown[END_TO_END]["not_annotated"] = self.not_annotated
        return shown
