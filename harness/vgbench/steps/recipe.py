"""A training recipe as the pretrain step reads it: every number that changes a byte, and what may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields

from vgbench.steps.predict import DTYPES
from vgbench.types import Part

BUDGETS = ("samples_seen", "epochs")  # what says how long a recipe trains; the graph hands it on


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a training recipe. Those without a default must be given, so that all are in the key.

    ``batch`` samples an optimiser step, made of micro-batches of ``micro_batch``: what one forward pass sees, what
    batch norm averages over and what Mixup mixes; ``lr`` the highest, ``min_lr`` the last learning rate;
    ``weight_decay``, ``betas`` of AdamW; ``warmup_fraction`` of the steps; ``ema_horizon`` the fraction of the steps
    that the saved weights average over (0: none); ``drop_path`` the last block's rate (stochastic depth);
    ``dtype`` of the forward pass, float32 or bfloat16 (weights stay float32); ``threads`` of the CPU;
    ``shift_px`` of zero padding round the image before a random crop; ``flip`` left to right with chance 1/2.

    What follows is timm's, and off by default. ``crop_scale``: the range of a random resized crop's area, as a share
    of the image's (then ``shift_px`` is 0), ``crop_ratio`` that of its width over its height; ``auto_augment`` as timm
    writes it (``rand-m9-mstd0.5-inc1``); ``color_jitter`` of brightness, contrast and saturation, which timm leaves
    out where ``auto_augment`` is on; ``random_erasing``: its chance, with noise in each pixel; ``mixup``, ``cutmix``:
    their alpha, one of them drawn for each micro-batch with chance ``mix_probability``, CutMix with chance
    ``mix_switch``; ``ema_decay``: of each step, as ``ModelEmaV3`` counts them, in place of a horizon; ``layer_scale``:
    its initial value, for networks that have one; ``layer_decay``: of the learning rate from a layer to the one below;
    ``compile``: by ``torch.compile``.
    """

    batch: int
    micro_batch: int
    input_px: int
    in_chans: int
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str
    lr: float
    min_lr: float
    weight_decay: float
    betas: Sequence[float]
    warmup_fraction: float
    label_smoothing: float
    ema_horizon: float
    drop_path: float
    dtype: str
    threads: int
    shift_px: int
    flip: bool
    crop_scale: Sequence[float] | None = None
    crop_ratio: Sequence[float] = (3 / 4, 4 / 3)
    auto_augment: str = ""
    color_jitter: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_switch: float = 0.5
    ema_decay: float | None = None
    layer_scale: float = 0.0
    layer_decay: float = 1.0
    compile: bool = False

    def __post_init__(self) -> None:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch {self.batch} is not a multiple of micro_batch {self.micro_batch}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: it must be one of {', '.join(DTYPES)}")
        if self.crop_scale and self.shift_px:
            raise ValueError(f"crop_scale and shift_px ({self.shift_px}) are two ways to crop: one must be 0")
        if not self.crop_scale and (self.auto_augment or self.color_jitter):
            raise ValueError("auto_augment and color_jitter come after a random resized crop: crop_scale is missing")
        if self.auto_augment and self.in_chans != 3:
            raise ValueError(f"auto_augment is of colours, and in_chans is {self.in_chans}")
        if self.mixes and self.micro_batch % 2:
            raise ValueError(f"mixup and cutmix mix pairs: micro_batch {self.micro_batch} must be even")
        if self.ema_decay is not None and self.ema_horizon:
            raise ValueError("ema_decay and ema_horizon are two ways to say one thing: ema_horizon must be 0")

    @property
    def mixes(self) -> bool:
        return bool(self.mixup or self.cutmix)

    @property
    def n_micro_batches(self) -> int:
        return self.batch // self.micro_batch

    @classmethod
    def of(cls, part: Part) -> Recipe:
        """Read a recipe; its budget (``samples_seen`` or ``epochs``) is the step's own param.

        Raises:
            ValueError: a value that this step does not know or that is missing, by name.
        """
        values = {name: value for name, value in part.values.items() if name not in BUDGETS}
        if extra := sorted(values.keys() - {field.name for field in fields(cls)}):
            raise ValueError(f"recipe {part.name!r} asks for what pretrain cannot do: {', '.join(extra)}")
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if missing := sorted(needed - values.keys()):
            raise ValueError(f"recipe {part.name!r} does not say: {', '.join(missing)}")
        return cls(**values)


def samples_of(part: Part, stated: int | None, n_images: int) -> int:
    """Return the samples of a run: as ``stated`` by the graph, or (None) the recipe's epochs of what is there."""
    return int(part.values["epochs"]) * n_images if stated is None else stated
