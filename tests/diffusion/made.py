"""Tiny random pipelines of diffusers, in the layouts of the real ones: Stable Diffusion 1.x, XL and 3, Flux."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from vgbench.toybox import words
from vgbench.toybox.train.tokenizer import tokenizer

WIDTH = 32


def clip_tokenizer() -> Any:
    return tokenizer(words.vocabulary())


def _text(*, projected: bool = False) -> Any:
    tok = clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tok),
        hidden_size=WIDTH,
        intermediate_size=37,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=24,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.eos_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _vae(channels: int = 4, **more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=8,
        **more,
    )


def _unet(**more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        **more,
    )


def sd(folder: Path, *, seed: int = 0) -> Path:
    """Write a Stable Diffusion 1.x whose images are 16 × 16 px."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text(),
        tokenizer=clip_tokenizer(),
        unet=_unet(cross_attention_dim=WIDTH, attention_head_dim=4),
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def sdxl(folder: Path) -> Path:
    """Write a Stable Diffusion XL: two text encoders, pooled embeddings."""
    torch.manual_seed(0)
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_text(),
        text_encoder_2=_text(projected=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=_unet(
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
            transformer_layers_per_block=1,
            use_linear_projection=True,
        ),
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        image_encoder=None,
        feature_extractor=None,
    )
    pipeline.save_pretrained(folder)
    return folder


def _t5(width: int = WIDTH) -> Any:
    tok = clip_tokenizer()
    config = T5Config(vocab_size=len(tok), d_model=width, d_ff=37, d_kv=8, num_layers=2, num_heads=4)
    return T5EncoderModel(config).eval()


def sd3(folder: Path) -> Path:
    """Write a Stable Diffusion 3: a transformer, flow matching, three text encoders."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * WIDTH,
        out_channels=4,
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_text(projected=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=_text(projected=True),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=_t5(2 * WIDTH),
        tokenizer_3=clip_tokenizer(),
    )
    pipeline.save_pretrained(folder)
    return folder


def flux(folder: Path) -> Path:
    """Write a Flux: packed latents, a CLIP's pooled text, a T5's tokens."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=[4, 4, 8],
    )
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(1, shift_factor=0.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_text(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=_t5(),
        tokenizer_2=clip_tokenizer(),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder)
    return folder


def lora(folder: Path, pipeline: Path, *, seed: int = 0) -> Path:
    """Write a random LoRA for a pipeline's UNet or transformer, as diffusers saves one."""
    own = DiffusionPipeline.from_pretrained(pipeline, dtype=torch.float32)
    network = getattr(own, "unet", None) or own.transformer
    torch.manual_seed(seed)
    network.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(network))
    name = "unet_lora_layers" if hasattr(own, "unet") else "transformer_lora_layers"
    type(own).save_lora_weights(folder, **{name: {k: 4 * v for k, v in layers.items()}})
    return folder
