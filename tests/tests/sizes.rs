//! Any size that is a multiple of 8 px, with and without a hires pass.

use tessera_tests::{picture, render::Render};

fn size(render: Render) -> ((u32, u32), Vec<String>) {
    let rendered = render.rendered();
    (picture::pixels(&rendered.picture()).dimensions(), rendered.report().notes())
}

#[test]
fn latents_that_the_network_does_not_take_are_padded_and_said_so() {
    let odd = Render::tiny("a cat").flags("--width 200 --height 136 --scale 1.5 --steps 2 --tile 16");
    let (size, notes) = size(odd);
    // 204 px of height is no whole number of latent px.
    assert_eq!((size.0, size.1 % 8), (300 / 8 * 8, 0), "{size:?}");
    let padded = |note: &String| note.contains("padded to") && note.contains("multiples of 8");
    assert!(notes.iter().any(padded), "{notes:?}");
}

#[test]
fn a_side_that_scaling_leaves_between_two_latents_is_said() {
    let odd = Render::simulated("sim:0").flags("--width 200 --height 136 --scale 1.5 --steps 1");
    let (size, notes) = size(odd);
    assert!(size.0.is_multiple_of(8) && size.1.is_multiple_of(8), "{size:?}");
    assert!(notes.iter().any(|note| note.contains(&format!("{}x{}", size.0, size.1))), "{notes:?}");
}

#[test]
fn the_smallest_picture_is_one_latent() {
    let small = Render::tiny("a cat").flags("--width 8 --height 8 --scale 1 --steps 1");
    assert_eq!(size(small).0, (8, 8));
}

#[test]
fn scale_1_has_no_hires_pass() {
    let rendered =
        Render::tiny("a cat").flags("--width 72 --height 40 --scale 1 --steps 1").dump().rendered();
    assert_eq!(picture::pixels(&rendered.picture()).dimensions(), (72, 40));
    let names = rendered.tensors().names();
    assert!(names.contains(&"base_latent".to_owned()), "{names:?}");
    assert!(!names.contains(&"hires_latent".to_owned()), "{names:?}");
}

#[test]
fn a_tile_larger_than_the_canvas_is_one_tile() {
    let rendered =
        Render::simulated("sim:0").flags("--width 256 --height 192 --steps 1 --tile 512").rendered();
    assert_eq!(rendered.report().planned("hires")["tiles"], 1);
}

#[test]
fn one_side_follows_from_the_other() {
    let wide = Render::simulated("sim:0").flags("--width 256 --height 128 --hires-width 768 --steps 1");
    assert_eq!(size(wide).0, (768, 384));
    let cropped = Render::simulated("sim:0")
        .flags("--width 256 --height 128 --hires-width 512 --hires-height 512 --steps 1");
    assert_eq!(size(cropped).0, (512, 512));
}

#[test]
fn every_schedule_and_tiling_draws_a_picture_of_its_own() {
    let draw = |flags: &str| {
        let base = "--width 128 --height 96 --steps 3 --tile 16 --overlap 4";
        let rendered = Render::simulated("sim:0").flags(base).flags(flags).rendered();
        assert_eq!(picture::pixels(&rendered.picture()).dimensions(), (256, 192), "{flags}");
        rendered.hash()
    };
    let variants = [
        "--schedule normal",
        "--schedule karras",
        "--schedule exponential",
        "--tile-base",
        "--tile-method mixture",
        "--tile-grid stride",
        "--rng nv",
        "--sampler heun",
        "--sampler dpmpp-2m",
        "--sampler ddim",
        "--strength-steps diffusers",
        "--cfg 3",
    ];
    let mut hashes: Vec<_> = variants.iter().map(|flags| draw(flags)).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), variants.len(), "some flag changes nothing");
}
