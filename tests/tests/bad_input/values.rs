//! Flags whose values are out of bounds.

use tessera_tests::render::Render;

use super::{refused, says, small};

fn refusal(flags: &str) -> String {
    refused(small().flags(flags))
}

/// For flags that [`small`] sets itself.
fn bare(flags: &str) -> String {
    refused(Render::new("a cat").flags(flags))
}

#[test]
fn sides_of_0_511_and_100000_px() {
    let plain = |flags: &str| {
        let render = Render::tiny("a cat").flags("--height 64 --steps 1 --scale 1");
        refused(render.flags(flags))
    };
    says(&plain("--width 0"), &["width is 0 px", "multiple of 8", "use 8"]);
    says(&plain("--width 511"), &["width is 511 px", "use 504 or 512"]);
    says(&plain("--width 100000"), &["width is 100000 px", "16384"]);
}

#[test]
fn a_target_beyond_the_longest_side() {
    let render = Render::tiny("a cat").flags("--width 2048 --height 64 --steps 1 --scale 9");
    says(&refused(render), &["18432", "16384"]);
}

#[test]
fn an_overlap_as_wide_as_the_tile() {
    says(&refusal("--tile 16 --overlap 16"), &["overlap", "16", "smaller than the tile"]);
    let render = Render::tiny("a cat").flags("--width 64 --height 64 --steps 1 --overlap 999");
    says(&refused(render), &["overlap", "999"]);
}

#[test]
fn a_denoising_strength_of_1_and_a_half() {
    says(&refusal("--denoise 1.5"), &["denoising strength is 1.5", "0.01 to 1"]);
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    says(&refusal("--sampler eulr"), &["unknown sampler", "\"eulr\"", "did you mean \"euler\"", "dpmpp-2m"]);
    says(&refusal("--schedule karas"), &["karas", "did you mean \"karras\""]);
    says(&refusal("--upscaler lanczo"), &["lanczo", "did you mean \"lanczos\""]);
}

#[test]
fn numbers_below_nothing() {
    says(&bare("--scale -2"), &["scale is -2"]);
    says(&refusal("--denoise -1"), &["denoising strength is -1"]);
}

#[test]
fn counts_of_nothing() {
    says(&bare("--workers sim:0 --steps 0"), &["steps is 0", "1 to 1000"]);
    says(&refusal("--tile-batch 0"), &["tile batch is 0"]);
    says(&refusal("--tile 4"), &["tile", "4", "8 to 1024"]);
    says(&refusal("--tile ax3"), &["--tile \"ax3\""]);
    says(&bare("--workers 0"), &["--workers \"0\"", "1 to 256"]);
    says(&bare("--workers gpu:0"), &["--workers \"gpu:0\""]);
}

#[test]
fn a_prompt_that_is_not_there() {
    let render = Render::words(["--output", "out.png"]);
    says(&refused(render), &["no prompt", "a lighthouse at dusk"]);
}
