#!/usr/bin/env python3
"""Golden values for prompts: token ids, chunks of 77, emphasis; transformers' CLIPTokenizerFast and torch.

usage: prompt_golden.py [OUT_FOLDER]      default: golden/ beside this script

Writes prompt.json and prompt_tokenizer.json (the tiny model's tokenizer in one file, as transformers saves it).
Ids are those of CLIPTokenizerFast, which is Rust's `tokenizers` crate with transformers' own settings; the slow
CLIPTokenizer differs from it in Chinese and Japanese.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import CLIPTokenizerFast, logging

ROOT = Path(__file__).resolve().parents[2]
TOKENIZERS = {"tiny-sd15": "tests/models/tiny-sd15/tokenizer", "demo": "deploy/models/demo/tokenizer"}
TEXTS = [
    "", " ", "a photo of a cat", "An astronaut, riding a HORSE!! 4k", "naïve café", "nai\u0308ve cafe\u0301",
    "  two\t\tspaces\nand a line ", "don't we'll they're I'd o'clock 's", "85mm f/1.8, (1024x768) [draft] {a|b} <tag>",
    "富士山の夕暮れ, 水彩画", "Москва зимой", "🙂🙃 emoji👩‍🚀 here", "ﬁne “quotes” … ½ ＡＢＣ", "a,b,c , ,, ,", "under_score-dash",
    "<|startoftext|> inside <|endoftext|>", "<|ENDOFTEXT|>", "İstanbul ǅ ß ẞ", "x" * 90, "\u00a0nbsp\u3000wide", "a\u200bb\x00c",
]
ROOM, REACH, BREAK = 75, 20, "BREAK"


def words(count, offset=0):
    """`count` tokens without a comma: digits are one token each in CLIP's vocabulary."""
    return " ".join(str((number + offset) % 10) for number in range(count))


PROMPTS = [
    [], [["", 1.0]], [["a photo of a cat", 1.0]], [["a ", 1.0], ["cat", 1.25], [" on the table", 0.5]],
    [[words(75), 1.0]], [[words(76), 1.5]], [[words(150), 1.0]], [[words(151), -1.0]],
    [[words(54) + ", " + words(30), 1.0]],                 # the comma is token 55 of 75: 21 from the end, too far
    [[words(55) + ", ", 1.0], [words(30), 0.75]],          # token 56: 20 from the end, the rest moves
    [[words(74) + ", " + words(3), 1.0]],                  # the comma fits, nothing is left to move
    [[words(75) + ", " + words(3), 1.0]],                  # the comma itself comes too late
    [[words(70) + ", " + words(80) + ", " + words(5), 1.0]],
    [[words(60) + "," + words(10) + ", " + words(200), 1.1]],
    [["a cat", 1.0], BREAK, ["a dog", 1.0]], [BREAK, ["a", 1.0]], [["a", 1.0], BREAK], [BREAK], [BREAK, BREAK],
    [[words(75), 1.0], BREAK, ["a", 1.0]], [[words(60) + ", " + words(10), 1.0], BREAK, [words(70), 1.0]],
]


def cut(tokens, comma):
    """Cuts a run of (id, weight) into lists of at most 75, behind a comma among the last 20 where one is."""
    chunks = []
    while len(tokens) > ROOM:
        end = ROOM
        if tokens[ROOM][0] != comma:
            near = [at for at in range(ROOM - REACH, ROOM) if tokens[at][0] == comma]
            end = near[-1] + 1 if near else ROOM
        chunks.append(tokens[:end])
        tokens = tokens[end:]
    return chunks + [tokens]


def chunked(tokenizer, segments):
    runs = [[]]
    for segment in segments:
        if segment == BREAK:
            runs.append([])
        else:
            text, weight = segment
            runs[-1] += [(token, weight) for token in tokenizer(text, add_special_tokens=False).input_ids]
    comma = tokenizer.get_vocab()[",</w>"]
    chunks = [chunk for run in runs for chunk in cut(run, comma)]
    if len(chunks) > 1 and not chunks[-1]:
        chunks.pop()
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    fill = [(end, 1.0)]
    return [[(begin, 1.0)] + chunk + fill * (ROOM + 1 - len(chunk)) for chunk in chunks]


def emphasis():
    """Per token weights on [77, 4], then the mean of before (A1111's "Original")."""
    hidden = torch.randn(77, 4, generator=torch.Generator().manual_seed(7)) + 0.25
    weights = torch.ones(77)
    weights[3:9], weights[20], weights[40:60] = 1.331, 0.5, -0.25
    weighed = hidden * weights[:, None]
    result = weighed * (hidden.mean() / weighed.mean())
    return {name: value.flatten().tolist() for name, value in dict(hidden=hidden, weights=weights, result=result).items()}


def main(out):
    logging.set_verbosity_error()                          # long texts are what is wanted here
    tokenizers = {name: CLIPTokenizerFast.from_pretrained(ROOT / folder) for name, folder in TOKENIZERS.items()}
    tiny = tokenizers["tiny-sd15"]
    tiny.save_pretrained(out / "tokenizer")
    (out / "tokenizer" / "tokenizer.json").rename(out / "prompt_tokenizer.json")
    for file in (out / "tokenizer").iterdir():
        file.unlink()
    (out / "tokenizer").rmdir()
    golden = {
        "about": "ids without marks for each text and tokenizer; chunks of [id, weight] for prompts by the tiny one; emphasis",
        "texts": TEXTS,
        "ids": {name: [tokenizer(text, add_special_tokens=False).input_ids for text in TEXTS]
                for name, tokenizer in tokenizers.items()},
        "prompts": [{"segments": prompt, "ids": [[token for token, _ in chunk] for chunk in chunks],
                     "weights": [[weight for _, weight in chunk] for chunk in chunks]}
                    for prompt in PROMPTS for chunks in [chunked(tiny, prompt)]],
        "emphasis": emphasis(),
    }
    (out / "prompt.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "golden")
