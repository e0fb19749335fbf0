"""A tagger and a relation model trained together and published in one folder.

One optimiser learns from batches of both in random order. The epoch is chosen by the mean of all dev scores.
The relation model is calibrated with the published tagger, whose text graph it shares.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from twofold.config import LEVITATED, Config, read_config
from twofold.errors import ConfigError
from twofold.models.joint import JointModel
from twofold.models.multimodal import MultimodalModel
from twofold.training.dev_scores import class_f1, span_f1
from twofold.training.examples import Example, FeatureTable, allowed_by_entities
from twofold.training.loop import TrainingData


def relation_settings(config: Config) -> Config:
    """Settings of the relation model of a joint training; its training settings are the tagger's, except for
    the initial weights.

    Raises:
        ConfigError: one of the two is for another task, or the markers of the relation model are in the text.
    """
    other = read_config(Path(config.model.joint))
    relations = dataclasses.replace(other.model.relations, tagger="")
    model = dataclasses.replace(
        other.model,
        joint="",
        relations=relations,
        text_encoder=config.model.text_encoder,
        window_pieces=config.model.window_pieces,
        context_words=config.model.context_words,
    )
    tasks = config.model.task, model.task
    if tasks != ("entities", "relations") or relations.markers != LEVITATED or model.adapters != "none":
        raise ConfigError(
            f"tasks {tasks[0]} and {tasks[1]}, markers {relations.markers}, adapters {model.adapters}",
            where=f"[model] joint = {config.model.joint!r}",
            expected=f"tasks entities and relations, markers {LEVITATED}, adapters none",
        )
    training = dataclasses.replace(config.training, initial_weights=other.training.initial_weights)
    return dataclasses.replace(other, model=model, training=training)


def with_tagger(config: Config, tagger: Path) -> Config:
    """Settings of the relation model with the tagger that was trained with it."""
    relations = dataclasses.replace(config.model.relations, tagger=str(tagger))
    return dataclasses.replace(config, model=dataclasses.replace(config.model, relations=relations))


def joint_data(
    entities: TrainingData, relations: TrainingData, labels: Sequence[str], convention: Sequence[float]
) -> TrainingData:
    """Examples of both tasks; those of relations have slots, and the tagger learns from their arguments.

    Args:
        entities: data of the tagger.
        relations: data of the relation model.
        labels: the tags.
        convention: features of the convention with which the tagger learns arguments.
    """
    pairs = [
        example._replace(
            convention=tuple(convention),
            allowed=allowed_by_entities(len(example.window.first), example.arguments, labels),
        )
        for example in relations.train
    ]
    return dataclasses.replace(
        entities,
        train=[*entities.train, *pairs],
        augmented=lambda epoch: [*entities.examples(epoch), *pairs],
        dev={**entities.dev, **relations.dev},
        score=_score,
        pair_tables=relations.tables,
    )


def _score(model: MultimodalModel, examples: Sequence[Example], tables: Mapping[str, FeatureTable]) -> float:
    assert isinstance(model, JointModel)
    if examples and examples[0].slots is not None:
        return class_f1(model.relations, examples, tables)
    return span_f1(model, examples, tables)
