//! Golden values: transformers' CLIPTokenizerFast and torch, made by `tests/oracle/prompt_golden.py`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tessera_proto::Segment;

use super::*;

const TINY_VOCABULARY: u32 = 782;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn golden() -> Value {
    let text = fs::read(top().join("tests/oracle/golden/prompt.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn tiny() -> Tokenizer {
    Tokenizer::open(&top().join("tests/models/tiny-sd15/tokenizer"), TINY_VOCABULARY).unwrap()
}

/// The tiny tokenizer's files in a folder of their own, to be damaged.
fn copied(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let from = top().join("tests/models/tiny-sd15/tokenizer").join(name);
        fs::copy(from, folder.path().join(name)).unwrap();
    }
    folder
}

fn numbers<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

fn ids(value: &Value) -> Vec<i64> {
    numbers(value, |id| id.as_i64().unwrap())
}

#[expect(clippy::cast_possible_truncation, reason = "golden values were f32")]
fn real(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn segments(value: &Value) -> Vec<Segment> {
    let segment = |segment: &Value| match segment.as_array() {
        None => Segment::Break,
        Some(pair) => Segment::Text { text: pair[0].as_str().unwrap().to_owned(), weight: real(&pair[1]) },
    };
    numbers(value, segment)
}

fn assert_same_ids(tokenizer: &Tokenizer, name: &str) {
    let golden = golden();
    let texts = numbers(&golden["texts"], |text| text.as_str().unwrap().to_owned());
    assert!(20 < texts.len(), "the golden file must hold texts");
    for (text, expected) in texts.iter().zip(golden["ids"][name].as_array().unwrap()) {
        let ours: Vec<i64> = tokenizer.ids(text).unwrap().into_iter().map(i64::from).collect();
        assert_eq!(ours, ids(expected), "{name} on {text:?}");
    }
}

#[test]
fn ids_are_those_of_clip_tokenizer_fast() {
    assert_same_ids(&tiny(), "tiny-sd15");
    let demo = top().join("deploy/models/demo/tokenizer");
    assert_same_ids(&Tokenizer::open(&demo, 633).unwrap(), "demo");
}

#[test]
fn a_tokenizer_in_one_file_gives_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let one_file = top().join("tests/oracle/golden/prompt_tokenizer.json");
    fs::copy(one_file, folder.path().join("tokenizer.json")).unwrap();
    let tokenizer = Tokenizer::open(folder.path(), TINY_VOCABULARY).unwrap();
    assert_same_ids(&tokenizer, "tiny-sd15");
    let tiny = tiny();
    assert_eq!((tokenizer.begin, tokenizer.end, tokenizer.comma), (tiny.begin, tiny.end, tiny.comma));
}

#[test]
fn chunks_break_where_a1111_breaks_them() {
    let (golden, tokenizer) = (golden(), tiny());
    let prompts = golden["prompts"].as_array().unwrap();
    assert!(20 <= prompts.len(), "the golden file must hold prompts");
    for prompt in prompts {
        let chunks = tokenizer.chunks(&segments(&prompt["segments"])).unwrap();
        let ours: Vec<Vec<i64>> = chunks.iter().map(|chunk| chunk.ids.to_vec()).collect();
        assert_eq!(ours, numbers(&prompt["ids"], ids), "{}", prompt["segments"]);
        let ours: Vec<Vec<f32>> = chunks.iter().map(|chunk| chunk.weights.to_vec()).collect();
        let weights = |weights: &Value| numbers(weights, real);
        assert_eq!(ours, numbers(&prompt["weights"], weights), "{}", prompt["segments"]);
    }
}

#[test]
fn another_padding_starts_behind_the_first_end() {
    let folder = copied(&["vocab.json", "merges.txt"]);
    fs::write(folder.path().join("tokenizer_config.json"), r#"{"pad_token": {"content": "!"}}"#).unwrap();
    let tokenizer = Tokenizer::open(folder.path(), TINY_VOCABULARY).unwrap();
    let chunks = tokenizer.chunks(&[Segment::Text { text: "a cat".into(), weight: 2.0 }]).unwrap();
    assert_eq!(chunks[0].ids[..6], [780, 320, 628, 781, 0, 0]);
    assert_eq!(chunks[0].ids[76], 0);
}

#[test]
fn a_prompt_of_too_many_chunks_is_refused() {
    let tokenizer = tiny();
    let breaks = |count: usize| vec![Segment::Break; count];
    assert_eq!(tokenizer.chunks(&breaks(MAX_CHUNKS)).unwrap().len(), MAX_CHUNKS);
    assert!(matches!(tokenizer.chunks(&breaks(MAX_CHUNKS + 1)), Err(Error::Chunks)));
    let long = Segment::Text { text: "1 ".repeat(75 * MAX_CHUNKS + 1), weight: 1.0 };
    let message = tokenizer.chunks(&[long]).unwrap_err().to_string();
    assert!(message.starts_with("prompt needs more than 32 chunks of 75 tokens"), "{message}");
}

#[test]
fn emphasis_keeps_the_mean_as_torch_computes_it() {
    let golden = &golden()["emphasis"];
    let mut hidden = numbers(&golden["hidden"], real);
    let weights: [f32; CHUNK] = numbers(&golden["weights"], real).try_into().unwrap();
    emphasize(&mut hidden, &weights);
    let worst =
        hidden.iter().zip(numbers(&golden["result"], real)).map(|(ours, theirs)| (ours - theirs).abs());
    let worst = worst.fold(0.0, f32::max);
    assert!(worst < 1e-5, "differs from torch by {worst}");
}

#[test]
fn emphasis_without_a_mean_to_keep_stays_finite() {
    let mut hidden = vec![1.0; CHUNK * 2];
    emphasize(&mut hidden, &[0.0; CHUNK]);
    assert!(hidden.iter().all(|&value| value == 0.0));
    let mut hidden = vec![0.5; CHUNK];
    emphasize(&mut hidden, &[1.0; CHUNK]);
    assert!(hidden.iter().all(|&value| value == 0.5));
}

#[test]
fn each_damaged_tokenizer_gets_its_sentence() {
    let refusal = |folder: &tempfile::TempDir, vocab_size| {
        let error = Tokenizer::open(folder.path(), vocab_size).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "tokenizer")
    };
    let none = copied(&["vocab.json"]);
    let expected = "tokenizer holds no tokenizer: it needs tokenizer.json, or vocab.json and merges.txt";
    assert_eq!(refusal(&none, 782), expected);

    let whole = copied(&["vocab.json", "merges.txt"]);
    let other = "tokenizer holds tokens up to id 781, but text_encoder/config.json says vocab_size 606: they belong to \
                 different models";
    assert_eq!(refusal(&whole, 606), other);
    fs::write(whole.path().join("tokenizer_config.json"), r#"{"bos_token": "<s>"}"#).unwrap();
    assert_eq!(refusal(&whole, 782), r#"tokenizer has no token "<s>", which its settings name as bos_token"#);
    fs::write(whole.path().join("tokenizer_config.json"), "{").unwrap();
    assert!(refusal(&whole, 782).starts_with("tokenizer/tokenizer_config.json is damaged: EOF"));
    fs::write(whole.path().join("tokenizer_config.json"), r#"{"eos_token": 3}"#).unwrap();
    assert!(refusal(&whole, 782).contains(r#"field "eos_token" is 3, must be a text"#));

    for (name, content) in
        [("vocab.json", "[1, 2"), ("merges.txt", "one two three\n"), ("tokenizer.json", "{}")]
    {
        let damaged = copied(&["vocab.json", "merges.txt"]);
        fs::write(damaged.path().join(name), content).unwrap();
        let message = refusal(&damaged, 782);
        assert!(message.contains("is no tokenizer that can be read: "), "{name}: {message}");
    }
}
