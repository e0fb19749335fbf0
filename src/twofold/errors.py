"""Errors a user can act on: what was found, where, what was expected, what to do.

Everything that can go wrong because of a user's input is raised as a subclass of `TwofoldError`
at the boundary (reader, configuration, model folder, command line). Any other exception is a bug in
Twofold.
"""

from __future__ import annotations


class TwofoldError(Exception):
    """An error in the input, with what a user needs to correct it.

    Args:
        what: what was found, in a few words ("the line is not JSON: …").
        where: file and line, post id, or option it came from.
        expected: what would have been right.
        do: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", do: str = "") -> None:
        self.what, self.where, self.expected, self.do = what, where, expected, do
        parts = [f"{where}: {what}" if where else what]
        if expected:
            parts.append(f"expected {expected}")
        if do:
            parts.append(do)
        super().__init__("; ".join(parts))


class InputError(TwofoldError):
    """A post, or a line that should hold one, cannot be read."""


class PictureError(TwofoldError):
    """A picture cannot be read; the post's text still can."""


class DataError(TwofoldError):
    """A data file or folder is missing, invalid or cannot be written."""


class ConfigError(TwofoldError):
    """A configuration or a command-line option is not valid."""


class ModelError(TwofoldError):
    """A model folder is missing, half-written, newer than this version, or altered."""


class TrainingError(TwofoldError):
    """A loss, gradient, feature or weight of a training is NaN or infinite, or one of its processes ended."""


class MissingExtraError(TwofoldError):
    """A feature needs packages that the light core does not install."""
