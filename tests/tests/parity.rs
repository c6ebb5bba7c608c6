//! Latents beside those of k-diffusion and diffusers over the same ONNX graphs.

use tessera_tests::{
    figures::say,
    golden::{self, Case},
    render::{Render, Rendered},
    tensors::{Tensor, Tensors},
};

/// Largest difference allowed, absolute; latents reach 21.
const BOUND: f64 = 1e-3;

fn rendered(case: &Case) -> Rendered {
    Render::words(&case.args)
        .args(["--output", "out.png", "--dump", "dump.safetensors"])
        .model(&tessera_tests::model::tiny())
        .args(["--workers", "1"])
        .rendered()
}

/// Compares `name` with a golden tensor and prints the difference.
fn compare(case: &str, (ours, name): (&Tensors, &str), golden: &Tensor) {
    let difference = ours.get(name).max_abs_difference(golden);
    say(format_args!("{case} {name}: max abs difference {difference:.2e}"));
    assert!(difference <= BOUND, "{case} {name}: {difference} is more than {BOUND}");
}

#[test]
fn base_passes_are_those_of_k_diffusion() {
    let golden = golden::tensors("render_base");
    for case in golden::cases("render_base") {
        let ours = rendered(&case).tensors();
        for name in ["prompt_embeds", "negative_embeds"] {
            compare(&case.name, (&ours, name), &golden.get(name));
        }
        let side = ours.get("base_noise").shape[2] * 8;
        let noise = golden.get(&format!("base_noise.{side}"));
        compare(&case.name, (&ours, "base_noise"), &noise);
        let latent = golden.get(&format!("{}.base_latent", case.name));
        compare(&case.name, (&ours, "base_latent"), &latent);
        let decoded = format!("{}.decoded", case.name);
        if golden.names().contains(&decoded) {
            compare(&case.name, (&ours, "image"), &golden.get(&decoded));
        }
    }
}

#[test]
fn hires_passes_in_one_tile_are_image_to_image() {
    let golden = golden::tensors("render_hires");
    let base = golden::tensors("render_base");
    for case in golden::cases("render_hires") {
        let ours = rendered(&case).tensors();
        let before = case.base.as_deref().expect("a hires case names its base");
        let latent = base.get(&format!("{before}.base_latent"));
        compare(&case.name, (&ours, "base_latent"), &latent);
        let upscaled = golden.get(&format!("{before}.upscaled_latent"));
        compare(&case.name, (&ours, "upscaled_latent"), &upscaled);
        compare(&case.name, (&ours, "hires_noise"), &golden.get("hires_noise"));
        for name in ["hires_start", "hires_latent"] {
            let expected = golden.get(&format!("{}.{name}", case.name));
            compare(&case.name, (&ours, name), &expected);
        }
    }
}

#[test]
fn a_tiled_base_is_diffusers_panorama() {
    let golden = golden::tensors("panorama");
    for case in golden::cases("panorama") {
        let ours = rendered(&case);
        compare("panorama", (&ours.tensors(), "base_latent"), &golden.get("base_latent"));
    }
}
