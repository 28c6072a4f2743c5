"""Pixels to latents and back, batched, with the conversions done on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

DECODE_CHUNK = 4
"""Pictures encoded or decoded in one call, where nothing else is said: more gains nothing."""


class LatentCodec:
    """One autoencoder and the scaling its configuration asks for.

    `chunk` is how many pictures share a call; whoever owns the codec may set it.
    """

    def __init__(self, vae: Any) -> None:
        config = vae.config
        self.vae = vae
        self.chunk = DECODE_CHUNK
        self.scaling_factor = float(config.scaling_factor)
        self._mean = self._per_channel(getattr(config, "latents_mean", None))
        self._std = self._per_channel(getattr(config, "latents_std", None))
        self.encode_pixels: Callable[[torch.Tensor], torch.Tensor] = self.encode_eagerly

    def moments(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Return mean and standard deviation of each picture's latents, (n, 2, c, h, w) in fp32."""
        pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
        chunks = torch.split(pixels.to(self.vae.device), self.chunk)
        # Joined, and so copied, before the next chunk's graph can overwrite the last one's result.
        found = [self.encode_pixels(chunk).clone() for chunk in chunks]
        return found[0] if len(found) == 1 else torch.cat(found)

    def encode_eagerly(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the moments of pixels (n, height, width, 3) in uint8, already on the device."""
        scaled = pixels.permute(0, 3, 1, 2).to(torch.float32)
        pixels = (scaled / 255.0) * 2.0 - 1.0
        encoded = self.vae.encode(pixels.to(self.vae.dtype))
        if hasattr(encoded, "latent_dist"):
            posterior = encoded.latent_dist
            return torch.stack((posterior.mean.float(), posterior.std.float()), dim=1)
        # A tiny autoencoder gives the latents themselves.
        latents = encoded.latents.float()
        return torch.stack((latents, torch.zeros_like(latents)), dim=1)

    def normalise(self, latents: torch.Tensor) -> torch.Tensor:
        """Scale what the encoder gives to what the UNet works on."""
        if self._mean is not None and self._std is not None:
            return (latents - self._mean) * self.scaling_factor / self._std
        return latents * self.scaling_factor

    def decode(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return RGB pixels (n, height, width, 3) in uint8, and which of them are usable (n,).

        `latents` is (n, c, h, w) as the UNet leaves it, n at most `chunk`. A picture is
        unusable when it has a value that is not finite, or is black all over. Both results stay on
        the device.
        """
        if self._mean is not None and self._std is not None:
            latents = latents * self._std / self.scaling_factor + self._mean
        else:
            latents = latents / self.scaling_factor
        raw = self.vae.decode(latents.to(self.vae.dtype), return_dict=False)[0].float()
        finite = torch.isfinite(raw).flatten(1).all(dim=1)
        # The stock order of operations, so that rounding agrees to the last value.
        rgb = raw.mul_(0.5).add_(0.5).clamp_(0.0, 1.0).mul_(255.0).round_()
        lit = (rgb > 0).flatten(1).any(dim=1)
        return rgb.to(torch.uint8).permute(0, 2, 3, 1).contiguous(), finite & lit

    def _per_channel(self, values: Sequence[float] | None) -> torch.Tensor | None:
        if values is None:
            return None
        return torch.tensor(values, device=self.vae.device).view(1, -1, 1, 1)


def blend(latents: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Blend latents of one shape by spherical interpolation, folding them in one at a time."""
    blended, total = latents[0], weights[0]
    for other, weight in zip(latents[1:], weights[1:], strict=True):
        total += weight
        blended = slerp(blended, other, weight / total)
    return blended


def slerp(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    """Return the point `share` of the way from `a` to `b` along the arc between them.

    Unlike a straight mix it keeps the length, which for latents is contrast. Shoemake, "Animating
    Rotation with Quaternion Curves", 1985.
    """
    cosine = torch.dot(a.flatten(), b.flatten()) / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1.0, 1.0))
    sine = torch.sin(angle)
    # Parallel vectors span no arc: the straight mix is its limit.
    straight = sine < 1e-4
    safe = torch.where(straight, torch.ones_like(sine), sine)
    of_a = torch.where(straight, 1.0 - share, torch.sin((1.0 - share) * angle) / safe)
    of_b = torch.where(straight, torch.full_like(sine, share), torch.sin(share * angle) / safe)
    return of_a * a + of_b * b
