"""Trains the text encoder and the UNet on cached latents, and writes a diffusers Stable Diffusion 1.x pipeline.

    torchrun --nproc_per_node 2 train_unet.py DATA VAE OUT --minutes 90
    torchrun --nproc_per_node 2 train_unet.py DATA VAE OUT2 --init OUT --minutes 60     goes on from another run's weights

Whole scenes are trained at every noise level. Windows of scenes drawn large are trained only below t = 600, under
their scene's caption: the base pass, which begins at high noise, never learns to compose a window, and a hires
pass (denoising strength 0.6 and under) knows what each thing looks like close up.
"""

import argparse
import collections
import copy
import json
import os
import random

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPTokenizerFast

import sample
from scenes import caption_of
from team import CUDA, DEVICE, LAYOUT, Recorded, Run, Smoothed, Team, autocast, pictures_of, to_tensor

UNET = dict(
    sample_size=16,
    in_channels=4,
    out_channels=4,
    block_out_channels=(64, 96, 128),
    layers_per_block=1,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    cross_attention_dim=64,
    attention_head_dim=4,
    norm_num_groups=8,
)
TEXT = dict(
    hidden_size=64,
    intermediate_size=256,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=77,
    projection_dim=64,
    hidden_act="quick_gelu",
)
NOISE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
WINDOWS_BELOW = 600  # of 1000 timesteps
VARIANTS = 4  # captions a scene
PART = 1000  # pictures that are encoded in one go
DROP = 0.1  # part of the captions that are empty, for guidance
START, END = "<|startoftext|>", "<|endoftext|>"


def make_tokenizer(captions, folder):
    """CLIP's byte-level BPE, merged until every word of the captions is one token; other words fall into letters."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = collections.Counter(w for c in captions for w in c.replace(",", " ").split())
    split = {w: list(w[:-1]) + [w[-1] + "</w>"] for w in words}
    merges = []
    while True:
        pairs = collections.Counter()
        for w, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[w]
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.get)
        merges.append(best)
        for parts in split.values():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = ["".join(best)]
                i += 1
    tokens = chars + [c + "</w>" for c in chars] + ["".join(m) for m in merges] + [START, END]
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/vocab.json", "w") as f:
        json.dump({t: i for i, t in enumerate(tokens)}, f, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = dict(bos_token=START, eos_token=END, unk_token=END, pad_token=END)
    settings = dict(tokenizer_class="CLIPTokenizer", model_max_length=77, do_lower_case=True, errors="replace")
    with open(f"{folder}/tokenizer_config.json", "w") as f:
        json.dump(settings | dict(add_prefix_space=False) | special, f, indent=1)
    with open(f"{folder}/special_tokens_map.json", "w") as f:
        json.dump(special, f)


def captions_of(data, name):
    """VARIANTS captions for each picture, in the pictures' order."""
    with open(f"{data}/{name}.jsonl") as f:
        specs = [json.loads(line) for line in f]
    return [caption_of(spec, random.Random(i * VARIANTS + k)) for i, spec in enumerate(specs) for k in range(VARIANTS)]


def token_ids(folder, captions):
    """int64 [N, 77]; each different caption is read once."""
    tok = CLIPTokenizerFast.from_pretrained(folder)
    known = {c: i for i, c in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor(tok(list(known), padding="max_length", max_length=77, truncation=True).input_ids, device=DEVICE)
    return ids[torch.tensor([known[c] for c in captions], device=DEVICE)]


@torch.no_grad()
def latents_of(vae, data, name, folder, team):
    """The posterior means of all pictures of a file and of their mirror images, [N, 2, 4, 16, 16].

    They are encoded once, in parts that are shared out as processes get to them; a part that another process has claimed
    is waited for.
    """
    pictures = pictures_of(f"{data}/{name}.npy")
    paths = [f"{folder}/latents-{name}-{lo:07d}.pt" for lo in range(0, len(pictures), PART)]
    for lo, path in zip(range(0, len(pictures), PART), paths):
        if os.path.exists(path) or not team.claim(path):
            continue
        parts = []
        for few in pictures[lo : lo + PART].split(256 if CUDA else 16):
            x = to_tensor(few)
            with autocast():
                z = [vae.encode(side).latent_dist.mean.float() for side in (x, x.flip(3))]
            parts.append(torch.stack(z, 1))
        torch.save(torch.cat(parts).contiguous(), path + ".new")
        os.replace(path + ".new", path)
    team.wait()
    return torch.cat([torch.load(path, map_location=DEVICE) for path in paths])


def save(out, vae, text, tok, unet, info):
    """The folder that diffusers writes for Stable Diffusion 1.x, weights in float16."""
    scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False, **NOISE)
    parts = [copy.deepcopy(m) for m in (vae, text)] + [tok, copy.deepcopy(unet), scheduler, None, None]
    pipe = StableDiffusionPipeline(*parts, requires_safety_checker=False)
    pipe.to(torch.float16)
    pipe.save_pretrained(out)
    with open(f"{out}/training.json", "w") as f:
        json.dump(info, f, indent=1)


class Batches:
    """Noised latents, timesteps, token ids and the noise that was added, drawn at random on the device."""

    def __init__(self, sets, ids, empty, n, part):
        self.sets, self.ids, self.empty = sets, ids, empty
        self.counts = (n - int(n * part), int(n * part))
        self.kept = DDPMScheduler(**NOISE).alphas_cumprod.to(DEVICE)  # the signal's share of the variance, [1000]

    def draw(self):
        z, y, t = [], [], []
        for latents, ids, n, below in zip(self.sets, self.ids, self.counts, (1000, WINDOWS_BELOW)):

            def any_of(k):
                return torch.randint(0, k, (n,), device=DEVICE)

            i = any_of(len(latents))
            z.append(latents[i, any_of(2)])
            y.append(ids[i * VARIANTS + any_of(VARIANTS)])
            # one from each n-th of the range: the loss is less noisy
            spread = torch.arange(n, device=DEVICE) + torch.rand(n, device=DEVICE)
            t.append((spread / max(n, 1) * below).long().clamp(0, below - 1))
        z, y, t = torch.cat(z).contiguous(memory_format=LAYOUT), torch.cat(y), torch.cat(t)
        y = torch.where(torch.rand(len(y), 1, device=DEVICE) < DROP, self.empty, y)
        noise = torch.randn_like(z)
        kept = self.kept[t].view(-1, 1, 1, 1)
        return kept.sqrt() * z + (1 - kept).sqrt() * noise, t, y, noise

    def weights(self):
        """Min-SNR weighting with gamma 5, for predicted noise (Hang 2023, https://arxiv.org/abs/2303.09556), [1000]."""
        snr = self.kept / (1 - self.kept)
        return snr.clamp(max=5) / snr


def models(tok, init):
    """The text encoder and the UNet, new or another run's."""
    torch.manual_seed(0)
    ends = dict(bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(tok), **ends, **TEXT))
    unet = UNet2DConditionModel(**UNET)
    if init:
        text.load_state_dict(CLIPTextModel.from_pretrained(f"{init}/text_encoder", dtype=torch.float32).state_dict())
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(f"{init}/unet", torch_dtype=torch.float32).state_dict())
    unet.set_attn_processor(AttnProcessor())
    return text.to(DEVICE).train(), unet.to(DEVICE, memory_format=LAYOUT).train()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("data")
    p.add_argument("vae")
    p.add_argument("out")
    p.add_argument("--minutes", type=float, default=90)
    p.add_argument("--batch", type=int, default=256 if CUDA else 32, help="latents a step and process")
    p.add_argument("--windows", type=float, default=0.3, help="part of the batch that is windows of large scenes")
    p.add_argument("--init", help="go on from the text encoder and UNet of this pipeline")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--show", type=float, default=10, help="minutes between sample sheets")
    a = p.parse_args()
    team = Team()
    os.makedirs(a.out, exist_ok=True)
    captions = {name: captions_of(a.data, name) for name in ("whole", "crop")}
    if team.rank == 0:
        make_tokenizer(captions["whole"], f"{a.out}/tokenizer")
    team.wait()
    tok = CLIPTokenizer.from_pretrained(f"{a.out}/tokenizer")
    words = sorted({w for c in captions["whole"] for w in c.replace(",", " ").split()})
    team.say(len(tok), "tokens;", len(words), "words:", " ".join(words))

    vae = AutoencoderKL.from_pretrained(a.vae).to(DEVICE, memory_format=LAYOUT).eval()
    sets = [latents_of(vae, a.data, name, a.vae, team) for name in captions]
    factor = 1 / sets[0].std().item()
    ids = [token_ids(f"{a.out}/tokenizer", captions[name]) for name in captions]
    empty = token_ids(f"{a.out}/tokenizer", [""])[0]
    team.say(f"{len(sets[0])} scenes, {len(sets[1])} windows, scaling factor {factor:.5f}")

    text, unet = models(tok, a.init)
    team.say("M parameters: vae %.2f, text %.2f, unet %.2f" % tuple(sum(q.numel() for q in m.parameters()) / 1e6 for m in (vae, text, unet)))
    run = Run(team, {"text": text, "unet": unet}, a.minutes, a.lr, a.out)
    torch.manual_seed(1 + team.rank + run.steps)
    batches = Batches([s * factor for s in sets], ids, empty, a.batch, a.windows)
    weight = batches.weights()
    seen, log, logged, shown = Smoothed(0.995), [], run.now - 30, run.now

    def keep():
        vae = AutoencoderKL.from_pretrained(a.vae).to(DEVICE)  # its decoder may have become sharper since
        vae.register_to_config(scaling_factor=round(factor, 5))
        info = dict(steps=run.steps, batch=a.batch, minutes=round(run.now / 60, 1), log=log, words=words)
        pipe = vae, run.mean["text"], tok, run.mean["unet"]
        save(a.out, *pipe, info)
        sample.sheet(sample.pipeline(*pipe), f"{a.out}/sheet-{run.steps:06d}.png")

    def step():
        x, t, y, noise = batches.draw()
        with autocast():
            out = unet(x, t, text(y).last_hidden_state).sample
        each = F.mse_loss(out.float(), noise, reduction="none").mean((1, 2, 3))
        run.learn((each * weight[t]).mean())
        seen.add(each.mean())

    train = Recorded(step)
    while run.going():
        train()
        met = run.tick()
        if met and run.now - logged > (15 if CUDA else 60):
            logged = run.now
            log.append((round(run.now / 60, 1), run.steps, round(seen.read(), 4)))
            team.say(f"{log[-1][0]} min  step {run.steps}  eps mse {seen.read():.4f}  {run.steps * a.batch / run.now:.0f} samples/s")
        if met and team.rank == 0 and run.now - shown > a.show * 60:
            shown = run.now
            keep()
    run.save()
    if team.rank == 0:
        keep()
        print(f"done: {run.steps} steps, {run.steps * a.batch} samples, eps mse {seen.read():.4f}", flush=True)


if __name__ == "__main__":
    main()
