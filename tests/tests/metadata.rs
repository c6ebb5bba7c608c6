//! What a picture says of itself: A1111's text, read back by A1111's rules, and the whole job as JSON.

use tessera_coordinator::picture::Parameters;
use tessera_tests::{picture, render::Render, report};

/// Commas, a colon, quotes, two lines and a letter that is not Latin-1.
const PROMPT: &str = "a (lighthouse:1.2), \"north\": dusk, żaglowiec\nwide, <calm> sea";

#[test]
fn the_text_survives_a1111s_parser() {
    let rendered = Render::tiny(PROMPT)
        .args(["--negative", "blurry, text: none"])
        .flags(
            "--width 64 --height 48 --steps 3 --hires-steps 2 --scale 2 --sampler dpmpp-2m --schedule karras",
        )
        .flags("--cfg 6.5 --denoise 0.55 --upscaler latent-nearest-exact")
        .rendered();
    let text = picture::text(&rendered.picture(), "parameters").expect("a text named parameters");
    let read = Parameters::parse(&text);
    assert_eq!(read.prompt, PROMPT);
    assert_eq!(read.negative, "blurry, text: none");
    let expected = [
        ("Steps", "3"),
        ("Sampler", "DPM++ 2M"),
        ("Schedule type", "Karras"),
        ("CFG scale", "6.5"),
        ("Seed", "5"),
        ("Size-1", "64"),
        ("Size-2", "48"),
        ("Model", "tiny-sd15"),
        ("Denoising strength", "0.55"),
        ("Hires resize-1", "128"),
        ("Hires resize-2", "96"),
        ("Hires steps", "2"),
        ("Hires upscaler", "Latent (nearest-exact)"),
    ];
    for (key, value) in expected {
        assert_eq!(read.get(key), Some(value), "{key} in {text}");
    }
}

#[test]
fn the_whole_job_is_there_as_json() {
    let rendered = Render::simulated("sim:0")
        .flags("--width 128 --height 128 --steps 2 --tile 16 --overlap 6 --sampler heun")
        .rendered();
    let text = picture::text(&rendered.picture(), "tessera").expect("a text named tessera");
    let value = report::parse(&text);
    assert_eq!(value["job"]["prompt"], "a photo of a cat");
    assert_eq!(value["job"]["seed"], 5);
    assert_eq!(value["job"]["overlap"], 6);
    assert_eq!(value["job"]["sampler"], "heun");
    assert_eq!(value["model"]["name"], "sim");
    assert_eq!(value["plan"], *rendered.report().at("/plan"));
}
