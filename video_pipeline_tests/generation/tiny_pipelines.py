"""A pipeline of diffusers with a handful of random weights, made here: a whole folder, as one is downloaded."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from video_pipeline.orders import Orientation
from video_pipeline.routing import Catalogue, Durations, Frames, Model, Price, Resolution, Tier, Unit

WORDS = ("a", "the", "harbour", "hill", "at", "dawn", "night", "sea")


def make_tiny_wan(folder: Path, *, table_bytes: int = 1 << 16) -> Path:
    """A Wan pipeline of text, whose parts also make the one that starts from a picture.

    What it renders passes the quality checks at the size of `tiny_catalogue`. `table_bytes` is what its text
    encoder's table of words takes in memory, of which a few rows are computed with.
    """
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
    from transformers import UMT5Config, UMT5EncoderModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(1)
    vae = AutoencoderKLWan(
        base_dim=3,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    with torch.no_grad():
        # Quiet enough not to look like noise.
        vae.decoder.conv_out.weight.mul_(0.4)
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=32,
        freq_dim=64,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=64,
    )
    size: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4}
    # Of another type in its file, so that it is copied into memory and not only mapped.
    text_encoder = UMT5EncoderModel(UMT5Config(vocab_size=table_bytes // (4 * 32), **size)).half()
    pipe = WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        expand_timesteps=True,
    )
    pipe.save_pretrained(folder)
    return folder


def tiny_catalogue(sandbox: Catalogue, **wire: Any) -> Catalogue:
    """A catalogue with one model, which is such a pipeline; it has clips of one second."""
    first = sandbox.models[0]
    model = Model(
        model="own/tiny-wan",
        version="1",
        provider="diffusers",
        tier=Tier.PREVIEW,
        wire={"image_to_video": "WanImageToVideoPipeline", "steps": 2, "guidance": 1.0} | wire,
        image_to_video=True,
        references=None,
        prompt_limit=None,
        talking=None,
        orientations=(Orientation.PORTRAIT,),
        durations=Durations(frames=Frames(min=9, max=9, fps=9)),
        resolutions=(Resolution(name="160p", short_side=160, multiple_of=16),),
        price=Price(per=Unit.MEGAPIXEL_FRAME, silent={"160p": Decimal("0.0001")}),
        fidelity=first.fidelity,
        acceptance_prior=0.9,
        price_source="a test",
        price_checked_on=date(2026, 11, 27),
    )
    return sandbox.model_copy(update={"models": (model,), "anchor": None})


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
