"""The graph pieces that tasks share. Only here do core steps get default params, so equal work gets equal digests.

The steps' rates were measured on digits, on one core of the 2-core reference machine; of networks with the recipe
digits-small.
"""

from vgbench.stages.encoding import (
    INDEX_KINDS,
    TORCH,
    Encoder,
    captions,
    encoder,
    encoder_with_text,
    features,
    has_text,
    index,
    mean_text_similarity,
    split_encoder,
    text_features,
)
from vgbench.stages.imagesets import (
    PACK,
    labelled,
    pack,
    proportion,
    select,
    sheet,
    subset,
    truth,
    union,
)
from vgbench.stages.probing import (
    PERMUTATIONS,
    fit_probe,
    probed,
    reads,
)
from vgbench.stages.scoring import (
    Categories,
    Rule,
    answered,
    measured,
    score,
)
from vgbench.stages.training import (
    architecture,
    backbone,
    budget,
    predict,
    trained_to_plateau,
    training_rate,
)

__all__ = [
    "INDEX_KINDS",
    "PACK",
    "PERMUTATIONS",
    "TORCH",
    "Categories",
    "Encoder",
    "Rule",
    "answered",
    "architecture",
    "backbone",
    "budget",
    "captions",
    "encoder",
    "encoder_with_text",
    "features",
    "fit_probe",
    "has_text",
    "index",
    "labelled",
    "mean_text_similarity",
    "measured",
    "pack",
    "predict",
    "probed",
    "proportion",
    "reads",
    "score",
    "select",
    "sheet",
    "split_encoder",
    "subset",
    "text_features",
    "trained_to_plateau",
    "training_rate",
    "truth",
    "union",
]
