"""Shares of a training set: a tenth of each class to train and to stop by, and the nested tenths beyond it.

Every share follows from the sample ids alone: of each class the images in the order of the SHA-256 of their ids (design
§2, derived splits). The lowest 10 % are what the protocol has; of these the lowest 20 % are held out, as every derived
validation split is; ``original`` draws from what follows, so that 20 % and 30 % of the data hold the 10 %.
"""

from __future__ import annotations

TENTH = 0.1
HELD_OUT = 0.2  # of the tenth (design §2); Burg et al.'s share is not known
RATIOS = (0, 1, 2, 4, 9)  # times the tenth; 2 is the paper's tripling, 9 all there is of the original

Share = tuple[float, float]

HELD: Share = (0, round(TENTH * HELD_OUT, 6))
TRAIN: Share = (HELD[1], TENTH)


def pool(ratio: int) -> Share:
    """Return what ``original`` draws ``ratio`` times the tenth from: the tenths right after it."""
    return TENTH, round(TENTH * (1 + ratio), 6)


# What the shares are called as splits of a real data set, and the rules by which its reader cuts them out of `train`.
SPLITS: dict[Share, str] = {
    HELD: "tenth-held",
    TRAIN: "tenth-train",
    **{pool(ratio): f"beyond-tenth-{ratio}" for ratio in RATIOS if ratio},
}
RULES = {name: {"of": ["train"], "from": first, "to": last} for (first, last), name in SPLITS.items()}
