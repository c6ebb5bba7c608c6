//! The largest picture we promise: 8192x8192 px within the coordinator's memory. The bench of this name prints more.

use tessera_tests::{cluster::Cluster, figures::say, picture, render::Render};

/// Most memory of the coordinator's process, bytes.
const BOUND: u64 = 3 << 29;

#[test]
fn a_picture_of_64_megapixels_fits_the_coordinator() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0", "sim:0"], None);
    let rendered = Render::new("a harbour")
        .args(["--coordinator", cluster.url()])
        .flags("--width 512 --height 512 --scale 16 --steps 1 --hires-steps 1")
        .rendered();
    let peak = cluster.coordinator.peak_memory();
    say(format_args!("8192x8192 px: coordinator's peak memory {} MiB", peak >> 20));
    assert!(peak <= BOUND, "{peak} bytes are more than {BOUND}");
    let size = image::image_dimensions(rendered.picture()).expect("a picture");
    assert_eq!(size, (8192, 8192));
    assert!(picture::text(&rendered.picture(), "parameters").is_some());
}
