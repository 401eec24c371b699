"""What torchvision calls the weights of a vision transformer, in timm's names; its ResNets have the same in both."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

IS_TORCHVISIONS = "encoder.pos_embedding"
NAMES = (
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),  # linear_1, linear_2: files written before torchvision 0.12
    (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
)


def timms_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's vision transformer's weights as timm's; leave any other state as it is.

    The tensors are the same in both: queries, keys and values lie in one matrix, in this order.
    """
    if IS_TORCHVISIONS not in state:
        return dict(state)
    renamed = {}
    for name, tensor in state.items():
        for pattern, timms in NAMES:
            name = re.sub(pattern, timms, name)
        renamed[name] = tensor
    return renamed
