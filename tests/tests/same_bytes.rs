//! The same bytes for any number of workers, any speeds and any batch's place.

use tessera_tests::{model, picture, render::Render};

/// A hires pass of 3x3 tiles with a sampler that draws noise at every step: an order that leaks anywhere shows.
const TILED: &str = "--width 160 --height 128 --steps 3 --hires-steps 4 --denoise 0.6 --sampler euler-a --scale 2 \
                     --upscaler latent --tile 20 --overlap 6 --vae-tile 16";

fn tiny(workers: &str) -> Render {
    Render::new("a photo of a (cat:1.2)").model(&model::tiny()).flags(TILED).args(["--workers", workers])
}

#[test]
fn one_two_and_five_workers_write_the_same_file() {
    let one = tiny("cpu:1").rendered();
    assert!(9 <= one.report().planned("hires")["tiles"].as_u64().expect("a number of tiles"));
    for count in [2, 5] {
        let devices = vec!["cpu:1"; count].join(",");
        let several = tiny(&devices).rendered();
        assert_eq!(several.hash(), one.hash(), "{count} workers");
        let report = several.report();
        let busy = (1..=count).filter(|index| 0 < report.tasks_of(&format!("local-{index}")));
        assert!(1 < busy.count(), "several workers must have worked: {report:?}");
    }
}

#[test]
fn a_number_of_workers_that_share_the_cores_writes_the_same_file() {
    assert_eq!(tiny("1").rendered().hash(), tiny("3").rendered().hash());
}

#[test]
fn a_batch_is_part_of_the_plan() {
    let batched = |workers| tiny(workers).args(["--tile-batch", "4"]).rendered().hash();
    assert_eq!(batched("cpu:1"), batched("cpu:1,cpu:1,cpu:1"));
}

#[test]
fn unequal_speeds_do_not_show() {
    let flags = "--width 256 --height 256 --steps 2 --hires-steps 3 --sampler euler-a --tile 24 --overlap 8";
    let render = |devices| Render::simulated(devices).flags(flags).rendered().hash();
    let alone = render("sim:0");
    assert_eq!(render("sim:1,sim:9,sim:4"), alone);
    assert_eq!(render("sim:0,sim:0,sim:0,sim:0,sim:0"), alone);
}

#[test]
fn another_seed_is_another_picture() {
    let words = |seed| {
        Render::words(["a cat", "--width", "64", "--height", "64", "--steps", "2", "--scale", "1"])
            .model(&model::tiny())
            .args(["--workers", "1", "--output", "out.png", "--seed", seed])
            .rendered()
    };
    let (five, six) = (words("5"), words("6"));
    assert_ne!(picture::pixels(&five.picture()), picture::pixels(&six.picture()));
    assert_eq!(five.hash(), words("5").hash());
}
